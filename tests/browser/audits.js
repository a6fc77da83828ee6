// What the audits ask of a page. Each function returns what is wrong, in words: an empty list is a good page.

// Dollars around something that is no price, brackets, or a command of TeX.
const TEX = new RegExp(
  [
    String.raw`\$\$`,
    String.raw`\$[^$\s][^$\n]*[\\^_{][^$\n]*\$`,
    String.raw`\\[([]`,
    String.raw`\\[a-zA-Z]+\{`,
    String.raw`\\(frac|log|exp|sum|ell|operatorname|begin|text|mathrm)\b`,
  ].join("|"),
);

const audits = {
  // Show what a reader opens by a click, so that it is audited as well: solutions and the panels of tabs.
  open() {
    for (const details of document.querySelectorAll("details")) details.open = true;
    for (const button of document.querySelectorAll("button.toggle-button-hidden")) button.click();
    addStyle(".sd-tab-set > .sd-tab-content { display: block }");
    audits.layOut();
  },

  // Lay out all of the page at once, what is out of sight included, so that nothing moves while it is measured.
  layOut() {
    addStyle("* { content-visibility: visible !important }");
  },

  // What is wider than the screen moves the whole page sideways. A box that scrolls by itself does not count.
  overflow() {
    const { clientWidth, scrollWidth } = document.documentElement;
    if (scrollWidth <= clientWidth && document.body.scrollWidth <= document.body.clientWidth) return [];
    const boxed = (element) => beyond(element, element, clientWidth);
    const written = (element) => beyond(element, contents(element), clientWidth);
    const all = [...document.querySelectorAll("body *")];
    const boxes = all.filter((element) => boxed(element) && !boxed(element.parentElement));
    const texts = all.filter((element) => written(element) && ![...element.children].some(written));
    const causes = (boxes.length ? boxes : texts).slice(0, 4).map(name).join(", ");
    return [`${scrollWidth} px wide on a screen of ${clientWidth} px: ${causes}`];
  },

  // Text that a box cuts off on a screen without saying so, or that would have to be scrolled on paper.
  cut(onPaper) {
    const hides = onPaper ? ["hidden", "clip", "auto", "scroll"] : ["hidden", "clip"];
    return [...document.querySelectorAll("body *")]
      .filter(
        (element) =>
          element.scrollWidth > element.clientWidth + 3 && // a slanted letter leans out of its box
          element.clientWidth > 1 && // a box of one pixel is for screen readers
          hides.includes(getComputedStyle(element).overflowX) &&
          (onPaper || getComputedStyle(element).textOverflow !== "ellipsis") &&
          element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
          element.innerText?.trim(),
      )
      .map((element) => `${name(element)} shows ${element.clientWidth} of ${element.scrollWidth} px`);
  },

  // All of axe's rules that are on, best practices among them, and the one of WCAG 2.2 that is off by default.
  async axe() {
    const rules = { "target-size": { enabled: true } };
    const { violations } = await axe.run({ rules, resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => {
      const first = nodes.slice(0, 3).map(({ html }) => html.replace(/\s+/g, " ").slice(0, 100));
      return `${id} (${help}), ${nodes.length} times: ${first.join(" | ")}`;
    });
  },

  async images() {
    const wrong = [];
    for (const image of document.images) image.loading = "eager";
    await Promise.allSettled([...document.images].map((image) => image.decode()));
    const seen = new Map();
    for (const image of document.images) {
      const file = (image.getAttribute("src") ?? "").slice(0, 80);
      const alt = image.getAttribute("alt");
      if (!image.complete || !image.naturalWidth) wrong.push(`${file} is not shown`);
      if (alt === null) wrong.push(`${file} has no alt text`);
      else if (image.closest("article, main")) {
        if (/\.(svg|png|jpe?g|gif|webp)\b/i.test(alt) || alt.includes("/_images/"))
          wrong.push(`${file} has a file name for an alt text: ${alt}`);
        else if (alt.trim().split(/\s+/).length < 4) wrong.push(`${file} has an alt text that says little: "${alt}"`);
        else if (seen.has(alt) && seen.get(alt) !== file) wrong.push(`${file} has the alt text of another: "${alt}"`);
        seen.set(alt, file);
      }
    }
    for (const drawing of document.querySelectorAll("article svg")) {
      const named = drawing.ariaLabel || drawing.hasAttribute("aria-labelledby") || drawing.querySelector("title");
      if (!named && !drawing.closest("[aria-hidden=true]")) wrong.push(`${name(drawing)} has no name`);
    }
    return wrong;
  },

  async math() {
    await document.fonts.ready;
    const wrong = [];
    for (const formula of document.querySelectorAll(".math")) {
      const tex = formula.textContent.trim().slice(0, 60);
      const shown = formula.querySelector(".katex-html");
      if (!shown?.textContent.trim()) wrong.push(`not rendered: ${tex}`);
      else if (formula.checkVisibility() && !shown.getBoundingClientRect().width) wrong.push(`not shown: ${tex}`);
      if (!formula.querySelector("math")?.textContent.trim()) wrong.push(`no MathML for screen readers: ${tex}`);
    }
    for (const error of document.querySelectorAll(".katex-error")) wrong.push(`error: ${error.title}`);
    const loaded = [...document.fonts].some(({ family, status }) => /KaTeX_Main/.test(family) && status === "loaded");
    if (document.querySelector(".katex") && !loaded) wrong.push("the formulas are not set in their own font");
    const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const { data, parentElement } = texts.currentNode;
      if (TEX.test(data) && !parentElement.closest("pre, code, script, style, textarea, annotation"))
        wrong.push(`raw TeX in ${name(parentElement)}: ${data.trim().slice(0, 60)}`);
    }
    for (const element of document.querySelectorAll("[alt], [title], [aria-label], meta[content]"))
      for (const attribute of ["alt", "title", "aria-label", "content"])
        if (TEX.test(element.getAttribute(attribute)))
          wrong.push(`raw TeX in the ${attribute} of ${name(element)}: ${element.getAttribute(attribute)}`);
    return wrong;
  },

  structure() {
    const wrong = [];
    const headings = [...document.querySelectorAll("h1")].filter((each) => each.checkVisibility()); // one is for paper
    const texts = headings.map((each) => each.innerText.trim());
    if (texts.length !== 1) wrong.push(`${texts.length} h1: ${texts.join(", ")}`);
    else if (!texts[0]) wrong.push("the h1 is empty");
    if (!document.title.trim()) wrong.push("no title");
    if (!/^en(-|$)/.test(document.documentElement.lang)) wrong.push(`lang is "${document.documentElement.lang}"`);
    return wrong;
  },

  // Whether the page follows the theme that the reader's system asks for.
  theme(wanted) {
    const [red, green, blue] = getComputedStyle(document.querySelector("h1, p")).color.match(/[\d.]+/g).map(Number);
    const found = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 127 ? "dark" : "light";
    return found === wanted ? [] : [`the text is that of a ${found} page`];
  },

  // Text of the article that is not shown, though all that a reader can open is open. Forms and buttons are of use to scripts alone.
  hidden() {
    const texts = document.createTreeWalker(document.querySelector("article, main"), NodeFilter.SHOW_TEXT);
    const lost = new Set();
    while (texts.nextNode()) {
      const { data, parentElement } = texts.currentNode;
      if (data.trim() && !parentElement.checkVisibility() && !parentElement.closest("form, button, script, style, template"))
        lost.add(parentElement);
    }
    return [...lost].map((element) => `${name(element)} is not shown`);
  },

  // Where the keyboard is, unless it is nowhere: what has the focus, whether a reader sees it and its mark, in which
  // part of the page.
  focus() {
    const element = document.activeElement;
    if (element === document.body) return null;
    const faces = [element, ...(element.labels ?? [])]; // an input may be seen by its label alone
    const marks = () => [...faces, element.parentElement].map(mark).join();
    const shown = faces.some((each) => {
      const { left, top, right, bottom, width, height } = each.getBoundingClientRect();
      const opaque = each.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      return opaque && width > 1 && height > 1 && right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
    });
    const focused = marks();
    element.blur();
    const marked = marks() !== focused;
    element.focus({ preventScroll: true });
    const parts = {
      skip: element.closest(".skip-link"),
      article: element.closest("article"),
      search: element.closest("[role=search]"),
      contents: element.closest("#site-contents"),
    };
    return {
      place: [...document.querySelectorAll("*")].indexOf(element),
      name: name(element),
      part: Object.keys(parts).find((each) => parts[each]) ?? null,
      marked,
      shown,
    };
  },

  // What would move where the reader has asked for rest.
  motion() {
    const moving = [...document.querySelectorAll("*")].filter((element) =>
      [null, "::before", "::after"].some((part) => {
        const style = getComputedStyle(element, part);
        const runs = (durations) => durations.split(", ").some((each) => parseFloat(each) > 0.01);
        return (
          (runs(style.transitionDuration) && style.transitionProperty !== "none") ||
          (runs(style.animationDuration) && style.animationName !== "none") ||
          style.scrollBehavior === "smooth"
        );
      }),
    );
    return moving.length ? [`${moving.length} elements: ${moving.slice(0, 6).map(name).join(", ")}`] : [];
  },
};

// Whether an element's box, or the range of its contents, ends right of the screen, and no box around it scrolls.
function beyond(element, extent, width) {
  const { right, width: own } = extent.getBoundingClientRect();
  if (!own || right <= width + 0.5) return false;
  for (let parent = element.parentElement; parent && parent !== document.body; parent = parent.parentElement)
    if (getComputedStyle(parent).overflowX !== "visible") return false;
  return true;
}

// Without waiting for its load event, as Playwright does: none comes where scripts are off.
function addStyle(text) {
  const style = document.createElement("style");
  style.textContent = text;
  document.head.append(style);
}

function contents(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  return range;
}

function name(element) {
  const own = element.id ? `#${element.id}` : [...element.classList].slice(0, 3).map((each) => `.${each}`).join("");
  const text = (element.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 30);
  return `<${element.localName}${own}> "${text}"`;
}

function mark(element) {
  const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(element);
  return [outlineStyle === "none" ? "none" : `${outlineWidth} ${outlineColor}`, boxShadow, borderColor].join(" ");
}

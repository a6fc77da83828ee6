// What every page does besides being read. Each part stands alone, and a page without scripts only lacks these comforts.
"use strict";

// What the scripts of single pages use too.
const element = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const pressable = (textContent, onclick, properties) =>
  element("button", { type: "button", textContent, onclick, ...properties });
// What the reader chose, where there is storage: elsewhere it is forgotten with the page.
const choices = {
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* forgotten */ } },
};

// The theme: what the system says, or what the reader chose; the style does the rest. The page's first lines set it before
// anything is drawn.
// From "auto" the button leads to the theme that is not shown, so that a first press never seems to do nothing.
{
  const { dataset } = document.documentElement;
  const button = document.getElementById("theme-switch");
  const show = () => { button.lastElementChild.textContent = dataset.theme; };
  button.addEventListener("click", () => {
    const turns = matchMedia("(prefers-color-scheme: dark)").matches ? ["auto", "light", "dark"] : ["auto", "dark", "light"];
    dataset.theme = turns[(turns.indexOf(dataset.theme) + 1) % turns.length];
    choices.set("theme", dataset.theme);
    show();
  });
  show();
}

// The search: Ctrl+K leads to its field, which a narrow screen keeps in a popover, and its scripts come when they're needed.
{
  const contents = document.getElementById("site-contents");
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (getComputedStyle(contents).display === "none") contents.showPopover();
    contents.querySelector("input").focus();
  });
  const load = (form) => {
    if (document.querySelector("script[src$='search.js']")) return;
    document.head.append(...form.dataset.scripts.split(" ").map((src) => element("script", { src, async: false })));
  };
  for (const form of document.querySelectorAll("form.search")) {
    form.q.addEventListener("focus", () => load(form));
    if (form.closest("article")) { load(form); form.q.focus(); }
  }
}

// A link within the page closes the list that it was chosen from, and so does the keyboard when it leaves the list, which
// would hide where it has gone.
for (const popover of document.querySelectorAll("[popover]")) {
  popover.addEventListener("click", ({ target }) => target.closest("a") && popover.hidePopover());
  document.addEventListener("focusin", ({ target }) => {
    if (!popover.contains(target) && target.matches(":focus-visible")) popover.hidePopover();
  });
}

// Code is copied without the prompts and the output of a session, of Python or of a shell.
{
  const prompt = /^(>>>|\.\.\.|\$)( |$)/;
  const code = (pre) => {
    const lines = pre.textContent.replace(/\n$/, "").split("\n");
    const typed = lines.filter((line) => prompt.test(line));
    return (typed.length ? typed.map((line) => line.replace(prompt, "")) : lines).join("\n");
  };
  const announce = element("p", { className: "visually-hidden", role: "status" });
  document.querySelector("main").append(announce);
  for (const pre of document.querySelectorAll("article div.highlight > pre")) {
    if (pre.closest(".cell_output")) continue;
    const call = (word) => {
      button.textContent = word;
      button.ariaLabel = `${word} code: ${code(pre).trim().split("\n", 1)}`; // one of many on a page
    };
    const button = pressable("", async () => {
      await navigator.clipboard.writeText(code(pre));
      call("Copied");
      announce.textContent = "Copied";
      setTimeout(() => { call("Copy"); announce.textContent = ""; }, 1500);
    }, { className: "copy" });
    call("Copy");
    pre.before(button);
  }
}

// One switch hides the code of a chapter, for those who read it as prose: the style asks whether it is pressed.
for (const button of document.querySelectorAll("#code-switch")) {
  button.ariaPressed = Boolean(choices.get("hide-code"));
  button.addEventListener("click", () => {
    button.ariaPressed = button.ariaPressed !== "true";
    choices.set("hide-code", button.ariaPressed === "true" ? "yes" : "");
  });
}

// A box that scrolls can be reached, and so scrolled, with the keyboard.
{
  const boxes = document.querySelectorAll("article :is(pre, .table-box, .cell_output, .katex-display > .katex)");
  const reachable = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1 && getComputedStyle(target).overflowX !== "visible") target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of boxes) reachable.observe(box);
}

// The lists beside the text show where the reader is: the page, and the section that is being read.
{
  const follow = (link) => {
    const list = link.closest("nav");
    const { top, bottom } = link.getBoundingClientRect();
    const box = list.getBoundingClientRect();
    if (top < box.top || bottom > box.bottom) list.scrollTop += top - box.top - box.height / 2;
  };
  const page = document.querySelector("#site-contents [aria-current]");
  if (page) follow(page);
  const links = new Map();
  for (const link of document.querySelectorAll("#page-contents a")) {
    links.set(document.getElementById(decodeURIComponent(link.hash.slice(1))), link);
  }
  const visible = new Set();
  const mark = new IntersectionObserver((entries) => {
    for (const entry of entries) visible[entry.isIntersecting ? "add" : "delete"](entry.target);
    const current = [...links.keys()].findLast((section) => visible.has(section));
    for (const [section, link] of links) link.ariaCurrent = section === current ? "true" : null;
    if (current) follow(links.get(current));
  }, { rootMargin: "-10% 0px -80%" });
  for (const section of links.keys()) mark.observe(section);
}

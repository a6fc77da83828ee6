// What every page does besides being read. Each part stands alone, and a page without scripts only lacks these comforts.
"use strict";

// The theme: what the system says, or what the reader chose. The page's first lines apply it before anything is drawn.
{
  const root = document.documentElement;
  const button = document.getElementById("theme-switch");
  const after = { auto: "light", light: "dark", dark: "auto" };
  const show = () => { button.querySelector("span span").textContent = root.dataset.choice; };
  button.addEventListener("click", () => {
    root.dataset.choice = after[root.dataset.choice] ?? "auto";
    try { localStorage.setItem("theme", root.dataset.choice); } catch { /* no storage: until the next page */ }
    document.dispatchEvent(new Event("theme-chosen"));
    show();
  });
  show();
}

// The search: Ctrl+K leads to its field, which a narrow screen keeps in a popover.
{
  const contents = document.getElementById("site-contents");
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (getComputedStyle(contents).display === "none") contents.showPopover();
    contents.querySelector("input").focus();
  });
}

// A link within the page closes the list that it was chosen from.
for (const popover of document.querySelectorAll("[popover]")) {
  popover.addEventListener("click", (event) => {
    if (event.target.closest("a") && popover.matches(":popover-open")) popover.hidePopover();
  });
}

// Code is copied without the prompts and the output of a session.
{
  const code = (pre) => {
    const lines = pre.textContent.replace(/\n$/, "").split("\n");
    const typed = lines.filter((line) => /^(>>>|\.\.\.)( |$)/.test(line));
    return (typed.length ? typed.map((line) => line.slice(4)) : lines).join("\n");
  };
  const announce = document.createElement("p");
  announce.className = "visually-hidden";
  announce.role = "status";
  document.querySelector("main").append(announce);
  for (const pre of document.querySelectorAll("article div.highlight > pre")) {
    if (pre.closest(".cell_output")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code(pre));
      button.textContent = announce.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; announce.textContent = ""; }, 1500);
    });
    pre.before(button);
  }
}

// A box that scrolls can be reached, and so scrolled, with the keyboard.
{
  const boxes = document.querySelectorAll("article :is(pre, table, .pst-scrollable-table-container)");
  const reachable = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1 && getComputedStyle(target).overflowX !== "visible") target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of boxes) reachable.observe(box);
}

// The list beside the text marks the section that is being read.
{
  const links = new Map();
  for (const link of document.querySelectorAll("#page-contents a")) {
    const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (section) links.set(section, link);
  }
  const visible = new Set();
  const mark = new IntersectionObserver((entries) => {
    for (const entry of entries) visible[entry.isIntersecting ? "add" : "delete"](entry.target);
    const current = [...links.keys()].findLast((section) => visible.has(section));
    for (const [section, link] of links) {
      if (section === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-10% 0px -80%" });
  for (const section of links.keys()) mark.observe(section);
}

// Paper shows what the page hides.
{
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("article details:not([open])")];
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
}

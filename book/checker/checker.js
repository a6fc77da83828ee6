// The page that checks a reader's code: the form, the files, and the report. The checker runs in worker.mjs.
"use strict";

{
  const base = document.currentScript.src.replace(/[^/]*$/, ""); // the folder of this script
  const UNNAMED = "code.py";
  const LARGEST = 2_000_000; // bytes of a file: more is data, not code

  // Files as they stand in an address, squeezed, and back. A link carries the code behind its #, which no server sees.
  const through = (stream, data) => new Response(new Blob([data]).stream().pipeThrough(stream));
  async function toFragment(files) {
    const squeezed = await through(new CompressionStream("deflate-raw"), JSON.stringify(files)).arrayBuffer();
    const letters = btoa(Array.from(new Uint8Array(squeezed), (byte) => String.fromCharCode(byte)).join(""));
    return `#code=${letters.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
  }
  async function fromFragment(hash) {
    const letters = hash.slice("#code=".length).replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
    return through(new DecompressionStream("deflate-raw"), bytes).json();
  }

  // Text in which what stands between backticks is code.
  const withCode = (text) =>
    text.split("`").map((part, number) => (number % 2 ? element("code", { textContent: part }) : part));

  const form = document.querySelector("form.checker");
  const { code, files: opener, example, link, check } = form.elements;
  const status = form.querySelector("[role=status]");
  const tabs = form.querySelector(".checker-tabs");
  const shown = form.querySelector(".checker-report");
  let files;
  let current;
  let worker = null;

  // The file in the box, and a button for each if there are several.
  function open(name) {
    current = name;
    code.value = files[name];
    const names = Object.keys(files);
    tabs.hidden = names.length < 2;
    tabs.replaceChildren(...names.map((each) => pressable(each, () => open(each), { ariaPressed: each === name })));
  }

  function load(loaded, said = "") {
    files = loaded;
    open(Object.keys(files)[0]);
    shown.replaceChildren();
    status.textContent = said;
  }

  async function take(list) {
    const taken = [...list].filter(({ name, size }) => /\.(py|ipynb)$/.test(name) && size <= LARGEST);
    if (taken.length) load(Object.fromEntries(await Promise.all(taken.map(async (file) => [file.name, await file.text()]))));
    if (taken.length < list.length) status.textContent = "Only .py and .ipynb files of up to 2 MB were taken.";
  }

  function ask() {
    if (!Object.values(files).some((text) => text.trim())) {
      status.textContent = "Paste some code first, or try an example.";
      code.focus();
      return;
    }
    status.textContent = worker ? "Checking …" : "Loading the checker, about 6 MB, once …";
    form.ariaBusy = "true";
    try {
      worker ??= hire();
      worker.postMessage(files);
    } catch {
      fail("this browser doesn't start the checker here. Pages that are opened from a disk can't; the website can");
    }
  }

  function hire() {
    const hired = new Worker(`${base}worker.mjs`, { type: "module" });
    hired.onmessage = ({ data: { failed, report } }) => (failed ? fail(failed) : show(report));
    hired.onerror = ({ message }) => fail(message || "its files couldn't be loaded");
    return hired;
  }

  function fail(why) {
    worker?.terminate();
    worker = null;
    form.ariaBusy = null;
    status.textContent = `The checker stopped: ${why}`;
  }

  function show({ findings, troubles }) {
    form.ariaBusy = null;
    status.textContent = findings.length ? `${findings.length} found.` : "Nothing found.";
    shown.replaceChildren(...troubles.map((textContent) => element("p", { textContent })), ...findings.map(card));
    if (findings.length) shown.focus();
  }

  // One finding: its code and place, what's said, and the command line's own text of the way, the number and the fix.
  function card({ code: name, level, message, text, path, line, cell }) {
    const place = `${path}${cell ? `, cell ${cell}` : ""}, line ${line}`;
    const about = element("a", { href: `${base}../../chapters/check/${name.toLowerCase()}.html`, textContent: name });
    return element(
      "section",
      { className: `checker-finding ${level}` },
      element("h2", {}, about, " ", pressable(place, () => jump(path, line, cell))),
      element("p", {}, ...withCode(`${message}.`)),
      element("pre", { tabIndex: 0, textContent: text.split("\n").slice(1, -1).join("\n") }),
    );
  }

  // To a line; of a notebook, in whose file the lines stand otherwise, to the top.
  function jump(path, line, cell) {
    open(path);
    const lines = code.value.split("\n");
    const above = cell ? 0 : line - 1;
    const first = lines.slice(0, above).reduce((sum, { length }) => sum + length + 1, 0);
    code.focus();
    code.setSelectionRange(first, first + lines[above].length);
    code.scrollTop = (code.scrollHeight / lines.length) * (above - 4);
  }

  code.addEventListener("input", () => (files[current] = code.value));
  code.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => key === "Enter" && (ctrlKey || metaKey) && ask());
  check.addEventListener("click", ask);
  form.addEventListener("reset", () => {
    load({ [UNNAMED]: "" });
    code.focus();
  });
  example.addEventListener("change", () => {
    load({ [UNNAMED]: example.value });
    example.selectedIndex = 0;
  });
  opener.addEventListener("change", async () => {
    await take(opener.files);
    opener.value = "";
  });
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  link.addEventListener("click", async () => {
    history.replaceState(null, "", await toFragment(files));
    try {
      await navigator.clipboard.writeText(location.href);
      status.textContent = "The link is copied. The code is in the link itself, and on no server.";
    } catch {
      status.textContent = "The link is in the address bar.";
    }
  });

  async function follow() {
    if (!location.hash.startsWith("#code=")) return;
    try {
      load(await fromFragment(location.hash), "The code came with the link. Press Check.");
    } catch {
      status.textContent = "The code in this link can't be read: it may have been cut off.";
    }
  }
  addEventListener("hashchange", follow);
  load({ [UNNAMED]: code.value }); // what was typed before the script came
  follow();
}

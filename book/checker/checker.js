// The page that checks a reader's code: the form, the files, and the report. The checker runs in worker.mjs.
"use strict";

{
  const base = document.currentScript.src.replace(/[^/]*$/, ""); // the folder of this script
  const UNNAMED = "code.py";
  const LARGEST = 2_000_000; // bytes of a file: more is data, not code

  // Bytes as they stand in an address, squeezed, and back. A link carries the code behind its #, which no server sees.
  async function squeeze(text, Stream) {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(Stream)).arrayBuffer());
  }
  async function toFragment(files) {
    const bytes = await squeeze(JSON.stringify(files), new CompressionStream("deflate-raw"));
    const letters = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    return `#code=${letters.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
  }
  async function fromFragment(hash) {
    const letters = hash.slice("#code=".length).replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
    const files = JSON.parse(new TextDecoder().decode(await squeeze(bytes, new DecompressionStream("deflate-raw"))));
    const isText = (value) => typeof value === "string";
    if (!Object.keys(files).length || !Object.values(files).every(isText)) throw new Error("no files");
    return files;
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Text in which what stands between backticks is code.
  function withCode(text) {
    return text.split("`").map((part, number) => (number % 2 ? element("code", { textContent: part }) : part));
  }

  function start(form) {
    const { code, files: opener, example, link } = form.elements;
    const status = form.querySelector("[role=status]");
    const tabs = form.querySelector(".checker-tabs");
    const shown = form.querySelector(".checker-report");
    let files = { [UNNAMED]: "" };
    let current = UNNAMED;
    let worker = null;
    let asked = 0;

    function keep() {
      files[current] = code.value;
    }

    // The file in the box, and a button for each if there are several.
    function open(name) {
      current = name;
      code.value = files[name];
      const names = Object.keys(files);
      tabs.hidden = names.length < 2;
      tabs.replaceChildren(
        ...names.map((each) => {
          const tab = element("button", { type: "button", textContent: each });
          tab.setAttribute("aria-pressed", String(each === name));
          tab.addEventListener("click", () => {
            keep();
            open(each);
          });
          return tab;
        }),
      );
    }

    function load(loaded) {
      files = loaded;
      open(Object.keys(files)[0]);
      shown.replaceChildren();
      status.textContent = "";
    }

    async function take(list) {
      const taken = [...list].filter(({ name, size }) => /\.(py|ipynb)$/.test(name) && size <= LARGEST);
      if (taken.length) load(Object.fromEntries(await Promise.all(taken.map(async (file) => [file.name, await file.text()]))));
      if (taken.length < list.length) status.textContent = "Only .py and .ipynb files of up to 2 MB were taken.";
    }

    function ask() {
      keep();
      if (!Object.values(files).some((text) => text.trim())) {
        status.textContent = "Paste some code first, or try an example.";
        code.focus();
        return;
      }
      status.textContent = worker ? "Checking …" : "Loading the checker, about 6 MB, once …";
      form.setAttribute("aria-busy", "true");
      try {
        worker ??= hire();
      } catch {
        fail("this browser doesn't start the checker here. Pages that are opened from a disk can't; the website can");
        return;
      }
      worker.postMessage({ number: ++asked, files });
    }

    function hire() {
      const hired = new Worker(`${base}worker.mjs`, { type: "module" });
      hired.addEventListener("message", ({ data }) => {
        if (data.number !== asked) return; // a newer question is on its way
        if (data.failed) fail(data.failed);
        else show(data.report);
      });
      hired.addEventListener("error", (event) => fail(event.message || "its files couldn't be loaded"));
      return hired;
    }

    function fail(why) {
      worker?.terminate();
      worker = null;
      form.removeAttribute("aria-busy");
      status.textContent = `The checker stopped: ${why}`;
    }

    function show({ findings, troubles }) {
      form.removeAttribute("aria-busy");
      const number = findings.length;
      status.textContent = number ? `${number} found.` : "Nothing found.";
      shown.replaceChildren(
        ...troubles.map((trouble) => element("p", { textContent: trouble })),
        ...findings.map(card),
      );
      if (number) shown.focus();
    }

    // One finding: its code and place, what's said, and the command line's own text of the way, the number and the fix.
    function card(finding) {
      const [, ...rest] = finding.text.split("\n");
      const where = `${finding.path}${finding.cell ? `, cell ${finding.cell}` : ""}, line ${finding.line}`;
      const place = element("button", { type: "button", textContent: where });
      place.addEventListener("click", () => jump(finding));
      const about = `${base}../../chapters/check/${finding.code.toLowerCase()}.html`;
      return element(
        "section",
        { className: `checker-finding ${finding.level}` },
        element("h2", {}, element("a", { href: about, textContent: finding.code }), " ", place),
        element("p", {}, ...withCode(`${finding.message}.`)),
        element("pre", { tabIndex: 0, textContent: rest.slice(0, -1).join("\n") }),
      );
    }

    function jump({ path, line, cell }) {
      keep();
      open(path);
      const lines = code.value.split("\n");
      const first = cell ? 0 : lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      code.focus();
      code.setSelectionRange(first, first + (cell ? 0 : lines[line - 1].length));
      code.scrollTop = (code.scrollHeight / lines.length) * (line - 5);
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      load({ [UNNAMED]: "" });
      code.focus();
    });
    code.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    example.addEventListener("change", () => {
      if (example.value) load({ [UNNAMED]: example.value });
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
      keep();
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
        load(await fromFragment(location.hash));
        status.textContent = "The code came with the link. Press Check.";
      } catch {
        status.textContent = "The code in this link can't be read: it may have been cut off.";
      }
    }
    addEventListener("hashchange", follow);
    form.hidden = false;
    follow();
  }

  document.addEventListener("DOMContentLoaded", () => start(document.querySelector("form.checker")));
}

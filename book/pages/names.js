// The list of names: a filter, and an address for what is shown. Without this script the list is complete.
"use strict";

const names = {
  first: 10, // entries that are shown before all are asked for: the chapter goes on below the list

  // Words as they are compared: cross_entropy is also looked for in CrossEntropyLoss.
  plain(text) {
    return text.toLowerCase().replace(/[_-]/g, "");
  },

  // Whether an entry has every word that is looked for, and the framework and the scale that are chosen.
  answers(entry, query) {
    const words = names.plain(query.find ?? "").split(/\s+/);
    return (
      words.every((word) => names.plain(entry.text).includes(word)) &&
      ["framework", "scale"].every((facet) => !query[facet] || entry[facet] === query[facet])
    );
  },

  // What the status says, aloud too.
  said(shown, matching, all) {
    const which = matching === all ? `All ${all} functions` : `${matching} of ${all} functions`;
    return `${which}${shown < matching ? `, of which the first ${shown} are shown` : ""}.`;
  },

  // The entries to show for an address that names one: it, and what stands around it.
  around(entries, anchor) {
    const at = entries.findIndex(({ anchors }) => anchors.includes(anchor));
    return at < 0 ? null : entries.slice(Math.max(0, at - 2), at + 3);
  },

  start(form, list) {
    const status = form.querySelector("[role=status]");
    const entries = [...list.children].map((element) => {
      const anchors = [...element.querySelectorAll("[id]")].map(({ id }) => id);
      return {
        element,
        anchors,
        framework: element.querySelector(".framework").textContent,
        scale: element.className.replace("scale-", ""),
        text: [...anchors, element.textContent].join(" "),
      };
    });
    const query = Object.fromEntries(new URLSearchParams(location.search));
    let limit = names.first;

    const more = document.createElement("button");
    more.type = "button";
    more.className = "names";
    list.after(more);

    function display(shown, matching) {
      for (const { element } of entries) element.hidden = true;
      for (const { element } of shown) element.hidden = false;
      status.textContent = names.said(shown.length, matching.length, entries.length);
      more.hidden = shown.length === matching.length;
      more.textContent = `Show all ${matching.length}`;
    }

    function show() {
      for (const { name } of form.elements) if (name) query[name] = form.elements[name].value;
      const matching = entries.filter((entry) => names.answers(entry, query));
      display(matching.slice(0, limit), matching);
    }

    // The address names what is shown, so that it can be passed on.
    function change() {
      limit = names.first;
      show();
      const set = Object.entries(query).filter(([, value]) => value);
      history.replaceState(null, "", set.length ? `?${new URLSearchParams(set)}#names-look-up` : location.pathname);
    }

    // A link to an entry shows it with its neighbors, whatever is filtered.
    function follow() {
      const anchor = decodeURIComponent(location.hash.slice(1));
      const shown = anchor && names.around(entries, anchor);
      if (!shown) return;
      display(shown, entries);
      document.getElementById(anchor).scrollIntoView();
    }

    for (const { name } of form.elements) if (query[name]) form.elements[name].value = query[name];
    form.addEventListener("input", () => {
      limit = names.first;
      show();
    });
    form.addEventListener("change", change);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(change)); // once the fields are empty
    more.addEventListener("click", () => {
      const isShown = ({ element }) => !element.hidden;
      const before = entries.filter(isShown).length;
      limit = Infinity;
      show();
      entries.filter(isShown)[before]?.element.querySelector("a").focus();
    });
    addEventListener("hashchange", follow);
    form.hidden = false;
    show();
    follow();
  },
};

document.addEventListener("DOMContentLoaded", () =>
  names.start(document.querySelector("form.names"), document.querySelector("dl.names")),
);

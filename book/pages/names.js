// The list of names: a filter, and an address for what is shown. Without this script the list is complete.
"use strict";

const names = {
  first: 10, // entries that are shown before all are asked for: the chapter goes on below the list

  // Words as they are compared: cross_entropy is also looked for in CrossEntropyLoss.
  plain: (text) => text.toLowerCase().replace(/[_-]/g, ""),

  // Whether an entry has every word that is looked for, and the framework and the scale that are chosen.
  answers: (entry, { find = "", ...facets }) =>
    names.plain(find).split(/\s+/).every((word) => names.plain(entry.text).includes(word)) &&
    Object.entries(facets).every(([facet, value]) => !value || entry[facet] === value),

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
      const framework = element.querySelector(".framework").textContent;
      const text = [...anchors, element.textContent].join(" ");
      return { element, anchors, framework, text, scale: element.className.replace("scale-", "") };
    });
    const more = pressable("", showAll, { className: "names" });
    list.after(more);

    function display(shown, matching) {
      for (const entry of entries) entry.element.hidden = !shown.includes(entry);
      status.textContent = names.said(shown.length, matching.length, entries.length);
      more.hidden = shown.length === matching.length;
      more.textContent = `Show all ${matching.length}`;
    }
    function show(limit) {
      const query = Object.fromEntries(new FormData(form));
      const matching = entries.filter((entry) => names.answers(entry, query));
      display(matching.slice(0, limit), matching);
    }
    function showAll() {
      const hidden = entries.filter(({ element }) => element.hidden);
      show(Infinity);
      hidden.find(({ element }) => !element.hidden)?.element.querySelector("a").focus();
    }
    // The address names what is shown, so that it can be passed on.
    function change() {
      show(names.first);
      const set = [...new FormData(form)].filter(([, value]) => value);
      history.replaceState(null, "", set.length ? `?${new URLSearchParams(set)}#names-look-up` : location.pathname);
    }
    // A link to an entry shows it with its neighbors, whatever is filtered.
    function follow() {
      const anchor = decodeURIComponent(location.hash.slice(1));
      const shown = names.around(entries, anchor);
      if (!shown) return;
      display(shown, entries);
      document.getElementById(anchor).scrollIntoView();
    }

    const given = new URLSearchParams(location.search);
    for (const field of form.elements) field.value = given.get(field.name) ?? field.value;
    form.addEventListener("input", () => show(names.first));
    form.addEventListener("change", change);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(change)); // once the fields are empty
    addEventListener("hashchange", follow);
    show(names.first);
    follow();
  },
};

names.start(document.querySelector("form.names"), document.querySelector("dl.names"));

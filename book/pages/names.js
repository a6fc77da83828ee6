// The table of names: a filter, an order, and an address for what is shown. Without this script the table is complete.
"use strict";

const names = {
  first: 10, // rows that are shown before all are asked for: the chapter goes on below the table

  // Words as they are compared: cross_entropy is also looked for in CrossEntropyLoss.
  plain(text) {
    return text.toLowerCase().replace(/[_-]/g, "");
  },

  // Whether a row has every word that is looked for, and the framework and the scale that are chosen.
  answers(row, query) {
    const words = names.plain(query.find ?? "").split(/\s+/);
    return (
      words.every((word) => names.plain(row.text).includes(word)) &&
      ["framework", "holds"].every((column) => !query[column] || row.cells[column] === query[column])
    );
  },

  // The rows in the order of a column, what is equal as it was. A minus turns it round; an empty cell comes last.
  sorted(rows, order) {
    if (!order) return [...rows];
    const column = order.replace("-", "");
    const sign = order.startsWith("-") ? -1 : 1;
    return [...rows].sort((one, other) => {
      const [a, b] = [one.cells[column], other.cells[column]];
      if (!a || !b) return !a - !b;
      return sign * a.localeCompare(b, "en", { numeric: true });
    });
  },

  // What the status says, aloud too.
  said(shown, matching, all, heading, order) {
    const which = matching === all ? `All ${all} functions` : `${matching} of ${all} functions`;
    const part = shown < matching ? `, of which the first ${shown} are shown` : "";
    const way = order?.startsWith("-") ? "descending" : "ascending";
    return `${which}${part}${order ? `, sorted by ${heading.toLowerCase()}, ${way}` : ""}.`;
  },

  // The next order when a heading is pressed: up, down, as it was.
  next(column, order) {
    return order === column ? `-${column}` : order === `-${column}` ? "" : column;
  },

  start(form, table) {
    const status = form.querySelector("[role=status]");
    const headings = [...table.tHead.rows[0].cells];
    const columns = headings.map((heading) => heading.dataset.column);
    const rows = [...table.tBodies[0].rows].map((element) => {
      const texts = [...element.cells].map((cell) => cell.textContent);
      const cells = Object.fromEntries(columns.map((column, place) => [column, texts[place]]));
      return { element, cells, text: [...texts, element.dataset.also].join(" ") };
    });
    const query = Object.fromEntries(new URLSearchParams(location.search));
    let limit = names.first;

    const more = document.createElement("button");
    more.type = "button";
    more.className = "names";
    table.after(more);

    function show() {
      for (const { name } of form.elements) if (name) query[name] = form.elements[name].value;
      const matching = names.sorted(rows.filter((row) => names.answers(row, query)), query.sort);
      const shown = matching.slice(0, limit);
      for (const row of rows) row.element.hidden = true;
      for (const row of shown) row.element.hidden = false;
      table.tBodies[0].append(...matching.map((row) => row.element));
      let sortedBy = "";
      for (const heading of headings) {
        heading.removeAttribute("aria-sort");
        if ((query.sort ?? "").replace("-", "") === heading.dataset.column) {
          heading.setAttribute("aria-sort", query.sort.startsWith("-") ? "descending" : "ascending");
          sortedBy = heading.textContent;
        }
      }
      status.textContent = names.said(shown.length, matching.length, rows.length, sortedBy, query.sort);
      more.hidden = shown.length === matching.length;
      more.textContent = `Show all ${matching.length}`;
    }

    // The address names what is shown, so that it can be passed on.
    function remember() {
      const set = Object.entries(query).filter(([, value]) => value);
      const search = set.length ? `?${new URLSearchParams(set)}` : location.pathname;
      history.replaceState(null, "", search + (set.length ? `#${table.parentElement.id}` : ""));
    }

    function change() {
      limit = names.first;
      show();
      remember();
    }

    for (const heading of headings) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => {
        query.sort = names.next(heading.dataset.column, query.sort);
        change();
      });
      heading.append(button);
    }
    for (const { name } of form.elements) if (query[name]) form.elements[name].value = query[name];
    form.addEventListener("input", () => {
      limit = names.first;
      show();
    });
    form.addEventListener("change", change);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => {
      delete query.sort;
      setTimeout(change); // once the fields are empty
    });
    more.addEventListener("click", () => {
      const next = [...table.tBodies[0].rows][limit];
      limit = Infinity;
      show();
      next.querySelector("a").focus(); // the button is gone, so go on where it was
    });
    form.hidden = false;
    show();
  },
};

document.addEventListener("DOMContentLoaded", () =>
  names.start(document.querySelector("form.names"), document.querySelector("table.names")),
);

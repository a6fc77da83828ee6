// What the explorables share: formats, shapes, tables, and the circle from a control to the numbers to the figure.
//
// An explorable is a plain description of itself, handed to explorable.start() right after the title of its box:
//
//   state      the numbers that the reader can change, by name
//   controls   each with a name and a label, and one of
//                range    [min, max, step], or a function from the state to them
//                options  a list of [value, text]
//                press    a function from the state to what a button changes in it
//              Where a control's number isn't the state's own, read(number) returns what it changes, show(state) its
//              number; beside a range stands the number called number, or else the one with the control's name
//   values     a function from the state to every number that is shown, by name
//   formats    functions from a number, and all values, to its text, by name
//   readouts   HTML with an output(name) for each number; see list() and table()
//   height     of the figure in pixels, and draw(width, values, texts), which returns its shapes
//   grab       what a pointer takes hold of at a point {x, y, width}; drag, what it changes in the state there
//   say        a sentence for who doesn't see the figure, from the texts and the values
//
// The figure is drawn anew at every change, in pixels of the screen, so that its text is legible on a phone.
"use strict";

const explorable = {
  // Shapes of a figure. Their class is a name of explorables.css: ink, faint, blue, vermillion, ...
  line: (x1, y1, x2, y2, style) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="${style}"/>`,
  path: (d, style) => `<path d="${d}" class="${style}"/>`,
  dot: (x, y, style, radius = 7) => `<circle cx="${x}" cy="${y}" r="${radius}" class="${style}"/>`,
  rect: (x, y, width, height, style) =>
    `<rect x="${x}" y="${y}" width="${Math.max(width, 0)}" height="${height}" class="${style}"/>`,
  text: (x, y, words, style = "", anchor = "middle") =>
    `<text x="${x}" y="${y}" class="${style}" text-anchor="${anchor}">${words.replace("<", "&lt;")}</text>`,
  // A point without a finite height interrupts a curve.
  curve: (points, style) =>
    explorable.path(
      points.map(([x, y], i) => `${Number.isFinite(points[i - 1]?.[1]) ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`)
        .filter((_, i) => Number.isFinite(points[i][1])).join(""),
      style,
    ),
  // Ticks are values, or [value, text].
  axis: (scale, [from, to], y, ticks) => [
    explorable.line(from, y, to, y, "axis"),
    ...ticks.map((tick) => [tick].flat()).flatMap(([value, words = explorable.fixed(0)(value)]) => [
      explorable.line(scale(value), y, scale(value), y + 5, "axis"),
      explorable.text(scale(value), y + 18, words, "tick"),
    ]),
  ],

  // A linear scale from numbers to pixels, and back with invert.
  scale([low, high], [from, to]) {
    const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
    scale.invert = (pixel) => explorable.clamp(low + ((pixel - from) / (to - from)) * (high - low), low, high);
    return scale;
  },
  clamp: (value, low, high) => Math.min(Math.max(value, low), high),
  steps: (from, to, count) => Array.from({ length: count + 1 }, (_, i) => from + ((to - from) * i) / count),

  // Formats, with a true minus sign.
  fixed: (digits) => (value) =>
    Number.isFinite(value) ? value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−") : value < 0 ? "−∞" : "∞",
  signed: (digits) => (value) => (value > 0 ? "+" : "") + explorable.fixed(digits)(value),
  nats: (digits) => (value) => `${explorable.signed(digits)(value)} nats`,
  // A share is never all or nothing, as no probability of a finite logit is.
  percent(value) {
    const rest = Math.min(value, 1 - value);
    if (rest < 0.0001) return value < 0.5 ? "<\u00a00.01\u00a0%" : ">\u00a099.99\u00a0%";
    return `${(100 * value).toFixed(rest < 0.00995 ? 2 : rest < 0.0995 ? 1 : 0)}\u00a0%`;
  },
  short(value) {
    if (value === 0 || !Number.isFinite(value)) return explorable.fixed(0)(value);
    const plain = Math.abs(value) >= 0.001 && Math.abs(value) < 10000;
    return (plain ? value.toPrecision(3) : value.toExponential(1)).replace("+", "").replaceAll("-", "−");
  },

  // A number on the page: rounded for the reader, in full for who asks the element. It isn't read aloud by itself.
  output: (name) => `<output data-name="${name}" aria-live="off"></output>`,
  list: (rows) =>
    `<dl class="explorable-list">${rows
      .map(([label, name]) => `<div><dt>${label}</dt><dd>${explorable.output(name)}</dd></div>`)
      .join("")}</dl>`,
  // An empty heading, as in the corner above the headings of the rows, heads nothing.
  table: (caption, headings, rows) =>
    `<table class="explorable-table"><caption>${caption}</caption><thead><tr>${headings
      .map((words) => (words ? `<th scope="col">${words}</th>` : "<td></td>"))
      .join("")}</tr></thead><tbody>${rows
      .map(([label, ...names]) => `<tr><th scope="row">${label}</th>${names
        .map((name) => `<td>${explorable.output(name)}</td>`).join("")}</tr>`)
      .join("")}</tbody></table>`,

  control(id, { name, label, options, number = name }) {
    const choices = options?.map(([value, words]) => `<option value="${value}">${words}</option>`).join("");
    const element = options
      ? `<select id="${id}" name="${name}">${choices}</select>`
      : `<input id="${id}" name="${name}" type="range">${explorable.output(number)}`;
    return `<div class="explorable-control"><label for="${id}">${label}</label>${element}</div>`;
  },

  start(spec) {
    const box = document.currentScript.parentElement;
    const title = box.querySelector(".explorable-title");
    const state = { ...spec.state };
    const [buttons, inputs] = [true, false].map((pressed) => spec.controls.filter(({ press }) => !!press === pressed));
    title.insertAdjacentHTML(
      "afterend",
      `<div class="explorable-live" role="group" aria-labelledby="${title.id}">
        <svg role="img" style="height: ${spec.height}px"></svg>
        <div class="explorable-controls">${inputs
          .map((each) => explorable.control(`${title.id}-${each.name}`, each)).join("")}</div>
        <div class="explorable-buttons">${buttons
          .map(({ name, label }) => `<button type="button" name="${name}">${label}</button>`).join("")}</div>
        ${spec.readouts}
        <output class="visually-hidden" aria-live="polite"></output>
      </div>`,
    );
    box.classList.add("explorable-on");
    const live = title.nextElementSibling;
    const figure = live.querySelector("svg");
    const said = live.lastElementChild;
    let width;
    let pause;

    function show() {
      const values = spec.values(state);
      const texts = Object.fromEntries(
        Object.entries(spec.formats).map(([name, format]) => [name, format(values[name], values)]),
      );
      for (const output of live.querySelectorAll("[data-name]")) {
        output.dataset.value = values[output.dataset.name];
        output.textContent = texts[output.dataset.name];
      }
      for (const { name, range, number = name, show } of inputs) {
        const input = live.querySelector(`[name=${name}]`);
        if (range) {
          [input.min, input.max, input.step] = typeof range === "function" ? range(state) : range;
          input.setAttribute("aria-valuetext", texts[number]);
        }
        const position = show ? show(state) : state[name];
        if (Number(input.value) !== position) input.value = position;
      }
      figure.setAttribute("viewBox", `0 0 ${width} ${spec.height}`);
      figure.setAttribute("aria-label", spec.say(texts, values));
      figure.innerHTML = spec.draw(width, values, texts).join("");
    }

    // Any change comes through here. Only when the reader pauses is the outcome said, or it would be a chatter.
    function change(changed) {
      Object.assign(state, changed);
      show();
      clearTimeout(pause);
      pause = setTimeout(() => (said.textContent = figure.getAttribute("aria-label")), 700);
    }
    live.addEventListener("input", ({ target: { name, value } }) => {
      const { range, read } = inputs.find((each) => each.name === name);
      const given = range ? Number(value) : value;
      change(read ? read(given, state) : { [name]: given });
    });
    live.addEventListener("click", ({ target: { name } }) => {
      const button = buttons.find((each) => each.name === name);
      if (button) change(button.press(state));
    });

    // A finger that scrolls the page may begin on the figure, so a touch counts when it moves sideways, or ends.
    let held = null;
    let touched = null;
    const at = (event) => {
      const { left, top } = figure.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top, width };
    };
    const drag = (event) => change(spec.drag(held, at(event), state));
    figure.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = spec.grab ? spec.grab(at(event)) : "figure";
      if (held === null) return;
      figure.setPointerCapture(event.pointerId);
      touched = event.pointerType === "touch" ? event.clientX : null;
      if (touched === null) drag(event);
    });
    figure.addEventListener("pointermove", (event) => {
      if (held === null || (touched !== null && Math.abs(event.clientX - touched) < 8)) return;
      touched = null;
      drag(event);
    });
    figure.addEventListener("pointerup", (event) => {
      if (held !== null) drag(event);
      held = null;
    });
    figure.addEventListener("pointercancel", () => (held = null));

    new ResizeObserver(measure).observe(figure);
    measure();
    function measure() {
      if (width === figure.clientWidth || !figure.clientWidth) return; // nothing to do, or not shown, as in print
      width = figure.clientWidth;
      show();
    }
  },
};

// What the explorables share: elements, scales, formats, and the circle from a control to the numbers to the figure.
//
// An explorable is a plain description of itself, handed to explorable.start() right after the title of its box:
//
//   state      the numbers that the reader can change, by name
//   controls   ranges, choices and buttons, each with a label; see control() below
//   values     a function from the state to every number that is shown, by name
//   readouts   elements with an explorable.output(name) for these numbers; see list() and table()
//   formats    functions from a number to its text, by name
//   height     of the figure in pixels, and draw(width, values), which returns its SVG elements
//   grab       what a pointer takes hold of at a point {x, y, width}; drag, what it changes in the state there
//   say        a sentence for who does not see the figure
//
// The figure is drawn anew at every change, in pixels of the screen, so that its text is legible on a phone.
"use strict";

const explorable = {
  element(name, attributes = {}, ...children) {
    return explorable.fill(document.createElement(name), attributes, children);
  },

  svg(name, attributes = {}, ...children) {
    return explorable.fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  },

  fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  },

  // Shapes of a figure. Their class is a name of explorables.css: ink, faint, blue, vermillion, ...
  line: (x1, y1, x2, y2, style) => explorable.svg("line", { x1, y1, x2, y2, class: style }),
  path: (d, style) => explorable.svg("path", { d, class: style }),
  dot: (cx, cy, style, r = 7) => explorable.svg("circle", { cx, cy, r, class: style }),
  rect: (x, y, width, height, style) =>
    explorable.svg("rect", { x, y, width: Math.max(width, 0), height, class: style }),
  text: (x, y, words, style = "", anchor = "middle") =>
    explorable.svg("text", { x, y, class: style, "text-anchor": anchor }, words),

  // A path through points; a point without a finite y interrupts it.
  curve(points, style) {
    let pen = "M";
    let d = "";
    for (const [x, y] of points) {
      if (Number.isFinite(y)) d += `${pen}${x.toFixed(1)},${y.toFixed(1)}`;
      pen = Number.isFinite(y) ? "L" : "M";
    }
    return explorable.path(d, style);
  },

  // A linear scale from numbers to pixels, and back with invert.
  scale([low, high], [from, to]) {
    const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
    scale.invert = (pixel) => explorable.clamp(low + ((pixel - from) / (to - from)) * (high - low), low, high);
    return scale;
  },

  clamp: (value, low, high) => Math.min(Math.max(value, low), high),
  steps: (from, to, count) => Array.from({ length: count + 1 }, (_, i) => from + ((to - from) * i) / count),

  // A horizontal axis: a line with ticks below it, each a value and, if it is not the value itself, a text.
  axis(scale, [from, to], y, ticks) {
    return [
      explorable.line(from, y, to, y, "axis"),
      ...ticks.flatMap(([value, words = explorable.fixed(0)(value)]) => [
        explorable.line(scale(value), y, scale(value), y + 5, "axis"),
        explorable.text(scale(value), y + 18, words, "tick"),
      ]),
    ];
  },

  // Formats, with a true minus sign.
  fixed: (digits) => (value) =>
    Number.isFinite(value) ? value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−") : value < 0 ? "−∞" : "∞",
  signed: (digits) => (value) => (value > 0 ? "+" : "") + explorable.fixed(digits)(value),
  // A share is never all or nothing, as no probability of a finite logit is.
  percent: (value) => {
    const rest = Math.min(value, 1 - value);
    if (rest < 0.0001) return value < 0.5 ? "<\u00a00.01\u00a0%" : ">\u00a099.99\u00a0%";
    const digits = rest < 0.0995 ? (rest < 0.00995 ? 2 : 1) : 0;
    return `${(100 * value).toFixed(digits)}\u00a0%`;
  },
  // Four digits at most, and no more than it takes: 10, 2.718.
  plain: (value) => String(Number(value.toPrecision(4))),
  short: (value) => {
    if (value === 0 || !Number.isFinite(value)) return explorable.fixed(0)(value);
    if (Math.abs(value) >= 0.001 && Math.abs(value) < 10000) return value.toPrecision(3).replace("-", "−");
    return value.toExponential(1).replace("+", "").replaceAll("-", "−");
  },

  // A number on the page: rounded for the reader, in full for who asks the element. It is not read aloud by itself.
  output: (name) => explorable.element("output", { "data-name": name, "aria-live": "off" }),

  list: (rows) =>
    explorable.element(
      "dl",
      { class: "explorable-list" },
      ...rows.map(([label, ...names]) =>
        explorable.element(
          "div",
          {},
          explorable.element("dt", {}, label),
          explorable.element("dd", {}, ...names.map((name) => explorable.output(name))),
        ),
      ),
    ),

  table: (caption, columns, rows) =>
    explorable.element(
      "table",
      { class: "explorable-table" },
      explorable.element("caption", {}, caption),
      explorable.element(
        "thead",
        {},
        // The corner above the headings of the rows heads nothing.
        explorable.element(
          "tr",
          {},
          ...columns.map((words) => explorable.element(words ? "th" : "td", words ? { scope: "col" } : {}, words)),
        ),
      ),
      explorable.element(
        "tbody",
        {},
        ...rows.map(([label, ...names]) =>
          explorable.element(
            "tr",
            {},
            explorable.element("th", { scope: "row" }, label),
            ...names.map((name) => explorable.element("td", {}, explorable.output(name))),
          ),
        ),
      ),
    ),

  // A control is one of
  //   {name, label, min, max, step}  a range; text(values) is what stands beside it, or output, a name of a value
  //   {name, label, options}         a choice of [value, text]
  //   {name, label, press}           a button; press(state) returns what it changes
  // A control whose number is not the state's own has read(number, state), what it changes, and show(state), its number.
  control(spec, id, change) {
    if (spec.press) {
      const button = explorable.element("button", { type: "button", name: spec.name }, spec.label);
      button.addEventListener("click", () => change(spec.press));
      return { part: button, show() {} };
    }
    const attributes = { id, name: spec.name };
    const input = spec.options
      ? explorable.element(
          "select",
          attributes,
          ...spec.options.map(([value, words]) => explorable.element("option", { value }, words)),
        )
      : explorable.element("input", { ...attributes, type: "range" });
    const read = spec.read ?? ((value) => ({ [spec.name]: value }));
    const show = spec.show ?? ((state) => state[spec.name]);
    input.addEventListener("input", () =>
      change((state) => read(spec.options ? input.value : Number(input.value), state)),
    );
    const label = explorable.element("label", { for: id }, spec.label);
    const beside = spec.output ? explorable.output(spec.output) : explorable.element("span", { "aria-hidden": true });
    const part = explorable.element("div", { class: "explorable-control" }, label, input, beside);
    return {
      part,
      show(state, values) {
        if (!spec.options) {
          const { min, max, step } = spec.limits ? spec.limits(state) : spec;
          Object.assign(input, { min, max, step });
        }
        if (Number(input.value) !== show(state)) input.value = show(state);
        if (spec.text) {
          if (!spec.output) beside.textContent = spec.text(values);
          input.setAttribute("aria-valuetext", spec.text(values));
        }
      },
    };
  },

  start(spec) {
    const box = document.currentScript.parentElement;
    const title = box.querySelector(".explorable-title");
    const state = { ...spec.state };
    const controls = spec.controls.map((each) => explorable.control(each, `${title.id}-${each.name}`, change));
    const parts = (which) => controls.filter((_, i) => which(spec.controls[i])).map(({ part }) => part);
    const figure = explorable.svg("svg", { role: "img" });
    const said = explorable.element("output", { class: "visually-hidden", "aria-live": "polite" });
    const live = explorable.element(
      "div",
      { class: "explorable-live", role: "group", "aria-labelledby": title.id },
      figure,
      explorable.element("div", { class: "explorable-controls" }, ...parts((each) => !each.press)),
      explorable.element("div", { class: "explorable-buttons" }, ...parts((each) => each.press)),
      ...spec.readouts,
      said,
    );
    let width;
    let pause;

    function show() {
      const values = spec.values(state);
      for (const control of controls) control.show(state, values);
      for (const output of live.querySelectorAll("output[data-name]")) {
        const value = values[output.dataset.name];
        output.dataset.value = value;
        output.textContent = spec.formats[output.dataset.name](value, values);
      }
      figure.setAttribute("viewBox", `0 0 ${width} ${spec.height}`);
      figure.setAttribute("aria-label", spec.say(values));
      figure.replaceChildren(...spec.draw(width, values));
    }

    // Any change comes through here. Only when the reader pauses is the outcome said, or it would be a chatter.
    function change(changed) {
      Object.assign(state, changed({ ...state }));
      show();
      clearTimeout(pause);
      pause = setTimeout(() => (said.textContent = figure.getAttribute("aria-label")), 700);
    }

    // A finger that scrolls the page may begin on the figure, so a touch counts when it moves sideways, or ends.
    let held = null;
    let touched = null;
    const at = (event) => {
      const { left, top } = figure.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top, width };
    };
    const drag = (event) => change((now) => spec.drag(held, at(event), now));
    figure.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = spec.grab ? spec.grab(at(event), state) : "figure";
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

    figure.style.height = `${spec.height}px`;
    title.after(live);
    box.classList.add("explorable-on");
    const measure = () => {
      if (width === figure.clientWidth || !figure.clientWidth) return; // nothing to do, or not shown, as in print
      width = figure.clientWidth;
      show();
    };
    measure();
    new ResizeObserver(measure).observe(figure);
  },
};

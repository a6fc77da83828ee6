// What the explorables share: shapes, formats, tables, and the circle from a control to the numbers to the figure.
//
// An explorable is a plain description of itself, handed to explorable.start() right after the title of its box:
//
//   state     the numbers that the reader can change, by name
//   controls  by name, each with a label, and either
//               range    [min, max, step], or a function from the state to them
//               options  a list of [value, text]
//             Where a control's number isn't the state's own, read(number) returns what it changes, show(state) its
//             number. Beside a range stands what number names, or else its own name
//   buttons   by what stands on them, if there are any: a function from the state to what one changes in it
//   numbers   from the state, all that is shown by name: [value, format, its label in the list, if any]
//   tables    HTML from table(), above the list
//   height    of the figure in pixels, and scales(width, state): on the one of a control's name the control is dragged
//   draw      the shapes, from the scales, the state with the values of all numbers, and their texts
//   grab      which control a pointer at x and y takes hold of, if not always the first
//   say       a sentence for who doesn't see the figure, from the texts and the values
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
  curve: (points, style) =>
    explorable.path(`M${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L")}`, style),
  // The points of a function between two numbers, for a curve.
  points: (xs, ys, f, [from, to] = xs.domain) => explorable.steps(from, to, 384).map((x) => [xs(x), ys(f(x))]),
  graph: (xs, ys, f, style) => explorable.curve(explorable.points(xs, ys, f), style),
  // Ticks are values, each with its text if that isn't the rounded value.
  axis: (xs, y, values, words = explorable.fixed(0)) => [
    explorable.line(xs.range[0], y, xs.range[1], y, "axis"),
    ...values.flatMap((each) => [
      explorable.line(xs(each), y, xs(each), y + 5, "axis"),
      explorable.text(xs(each), y + 18, words(each), "tick"),
    ]),
  ],
  grid: (xs, ys, values, words = explorable.fixed(0)) =>
    values.flatMap((each) => [
      explorable.line(xs.range[0], ys(each), xs.range[1], ys(each), "faint"),
      explorable.text(xs.range[0] - 7, ys(each) + 4, words(each), "tick", "end"),
    ]),

  // A linear scale from a domain of numbers to a range of pixels, and back with invert.
  scale(domain, range) {
    const map = (value, [low, high], [from, to]) => from + ((value - low) / (high - low)) * (to - from);
    const [scale, invert] = [(value) => map(value, domain, range), (pixel) => map(pixel, range, domain)];
    return Object.assign(scale, { domain, range, invert });
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
    if (rest < 0.0001) return value < 0.5 ? "<\u00a00.01%" : ">\u00a099.99%";
    return `${(100 * value).toFixed(rest < 0.00995 ? 2 : rest < 0.0995 ? 1 : 0)}%`;
  },
  short(value) {
    if (value === 0 || !Number.isFinite(value)) return explorable.fixed(0)(value);
    const plain = Math.abs(value) >= 0.001 && Math.abs(value) < 10000;
    return (plain ? value.toPrecision(3) : value.toExponential(1)).replace("+", "").replaceAll("-", "−");
  },

  // A number on the page: rounded for the reader, in full for who asks the element. It isn't read aloud by itself.
  output: (name) => `<output data-name="${name}" aria-live="off"></output>`,
  // An empty heading, as in the corner above the headings of the rows, heads nothing.
  table(caption, headings, rows) {
    const head = headings.map((words) => (words ? `<th scope="col">${words}</th>` : "<td></td>")).join("");
    const body = rows.map(([label, ...names]) => {
      const cells = names.map((name) => `<td>${explorable.output(name)}</td>`).join("");
      return `<tr><th scope="row">${label}</th>${cells}</tr>`;
    });
    return `<table class="explorable-table"><caption>${caption}</caption>
      <thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>`;
  },
  list(numbers) {
    const labeled = Object.entries(numbers).filter(([, [, , label]]) => label);
    const item = ([name, [, , label]]) => `<div><dt>${label}</dt><dd>${explorable.output(name)}</dd></div>`;
    return labeled.length ? `<dl class="explorable-list">${labeled.map(item).join("")}</dl>` : "";
  },
  control(box, [name, { label, options, number = name }]) {
    const id = `${box}-${name}`;
    const choices = options?.map(([value, words]) => `<option value="${value}">${words}</option>`).join("");
    const element = options
      ? `<select id="${id}" name="${name}">${choices}</select>`
      : `<input id="${id}" name="${name}" type="range">${explorable.output(number)}`;
    return `<div class="explorable-control"><label for="${id}">${label}</label>${element}</div>`;
  },

  start(spec) {
    const title = document.currentScript.parentElement.querySelector(".explorable-title");
    const { state, controls, buttons = {} } = spec;
    const movable = Object.entries(controls).map((each) => explorable.control(title.id, each));
    const pressable = Object.keys(buttons).map((words) => `<button type="button">${words}</button>`);
    title.insertAdjacentHTML(
      "afterend",
      `<div class="explorable-live" role="group" aria-labelledby="${title.id}">
        <svg role="img" style="height: ${spec.height}px"></svg>
        <div class="explorable-controls">${movable.join("")}</div>
        <div class="explorable-buttons">${pressable.join("")}</div>
        ${spec.tables ?? ""}
        ${explorable.list(spec.numbers(state))}
        <output class="visually-hidden" aria-live="polite"></output>
      </div>`,
    );
    const live = title.nextElementSibling;
    const figure = live.querySelector("svg");
    const named = (name) => live.querySelector(`[name=${name}]`);
    const scales = () => spec.scales(figure.clientWidth, state);
    let pause;

    function show() {
      const numbers = Object.entries(spec.numbers(state));
      const values = { ...state, ...Object.fromEntries(numbers.map(([name, [value]]) => [name, value])) };
      const texts = Object.fromEntries(numbers.map(([name, [value, format]]) => [name, format(value)]));
      for (const output of live.querySelectorAll("[data-name]")) {
        output.dataset.value = values[output.dataset.name];
        output.textContent = texts[output.dataset.name];
      }
      for (const [name, { range, number = name, show }] of Object.entries(controls)) {
        const input = named(name);
        if (range) {
          [input.min, input.max, input.step] = typeof range === "function" ? range(state) : range;
          input.ariaValueText = texts[number];
        }
        input.value = show ? show(state) : state[name];
      }
      figure.setAttribute("viewBox", `0 0 ${figure.clientWidth} ${spec.height}`);
      figure.ariaLabel = spec.say(texts, values);
      figure.innerHTML = spec.draw(scales(), values, texts).join("");
    }

    // Any change comes through here. Only when the reader pauses is the outcome said, or it would be a chatter.
    function change(changed) {
      Object.assign(state, changed);
      show();
      clearTimeout(pause);
      pause = setTimeout(() => (live.lastElementChild.textContent = figure.ariaLabel), 700);
    }
    live.addEventListener("input", ({ target: { name, value } }) => {
      const { range, read } = controls[name];
      const given = range ? Number(value) : value;
      change(read ? read(given, state) : { [name]: given });
    });
    live.addEventListener("click", ({ target }) => {
      if (target.matches("button")) change(buttons[target.textContent](state));
    });

    // To drag in the figure is to move a slider, which knows its steps and ends. A finger that scrolls the page may
    // begin on the figure, so a touch counts when it moves sideways, or ends.
    let held = null;
    let touched = NaN;
    function point({ type, button, pointerId, pointerType, clientX, clientY }) {
      const { left, top } = figure.getBoundingClientRect();
      const x = clientX - left;
      if (type === "pointerdown" && button === 0) {
        held = spec.grab ? spec.grab(x, clientY - top, scales()) : Object.keys(controls)[0];
        touched = pointerType === "touch" ? x : NaN;
        if (held) figure.setPointerCapture(pointerId);
      }
      const moves = type === "pointerup" || !(Math.abs(x - touched) < 8);
      if (held && moves && type !== "pointercancel") {
        touched = NaN;
        named(held).value = scales()[held].invert(x);
        named(held).dispatchEvent(new Event("input", { bubbles: true }));
      }
      if (type === "pointerup" || type === "pointercancel") held = null;
    }
    for (const kind of ["down", "move", "up", "cancel"]) figure.addEventListener(`pointer${kind}`, point);

    // It calls at once, before anything is painted, and when the box is not shown, as in print.
    new ResizeObserver(() => figure.clientWidth && show()).observe(figure);
  },
};

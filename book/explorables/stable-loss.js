// Three programs for one loss, each step rounded to float16, float32 or float64: where they turn to 0 or infinity.
"use strict";

{
  const { axis, clamp, dot, fixed, graph, grid, line, nats, scale, short, text } = explorable;
  const { rounding, softplus } = numerics;

  // What each format shows: margins up to a limit, in steps that it holds exactly, and losses down to a power of ten.
  const FORMATS = {
    float16: { limit: 24, step: 0.25, ticks: [-20, -10, 0, 10, 20], lowest: -8, decades: [0, -4, -8], epsilon: 2 ** -11 },
    float32: { limit: 120, step: 0.5, ticks: [-100, -50, 0, 50, 100], lowest: -46, decades: [0, -20, -40], epsilon: 2 ** -24 },
    float64: { limit: 800, step: 1, ticks: [-700, 0, 700], lowest: -325, decades: [0, -100, -200, -300], epsilon: 2 ** -53 },
  };
  const NAMES = Object.keys(FORMATS);

  // Both exponentials, with the larger logit taken off, as every softmax does that does not overflow.
  const exponentials = (margin, round) => [margin, 0].map((each) => round(Math.exp(each - Math.max(margin, 0))));
  // The loss of class 0 with logits (margin, 0), by three programs, and how each is drawn.
  const PROGRAMS = {
    two_calls: {
      label: "log of softmax", style: "ink", stroke: "dotted",
      loss(margin, round) {
        const [first, second] = exponentials(margin, round);
        return 0 - round(Math.log(round(first / round(first + second))));
      },
    },
    fused: {
      label: "fused log-softmax", style: "vermillion", stroke: "thick",
      loss(margin, round) {
        const [first, second] = exponentials(margin, round);
        return round(round(Math.log(round(first + second))) - Math.min(margin, 0));
      },
    },
    log_odds: {
      label: "from the log-odds", style: "blue", stroke: "wide",
      loss: (margin, round) => round(Math.max(-margin, 0) + round(Math.log1p(round(Math.exp(-Math.abs(margin)))))),
    },
  };
  const programs = Object.entries(PROGRAMS).map(([name, program], place) => ({ ...program, name, place }));

  const HEIGHT = 340;
  const LANES = { top: 44, high: 60, low: HEIGHT - 96, zero: HEIGHT - 74 }; // side by side where they are 0

  explorable.start({
    state: { format: "float32", margin: 12 },
    controls: {
      margin: { label: "Margin of the right class",
        range: ({ format: name }) => [-FORMATS[name].limit, FORMATS[name].limit, FORMATS[name].step] },
      format: { label: "Figure shows", options: NAMES.map((name) => [name, name]),
        read: (format, { margin }) => ({ format, margin: clamp(margin, -FORMATS[format].limit, FORMATS[format].limit) }) },
    },
    numbers({ margin }) {
      const exact = softplus(-margin);
      // A number that is off by more than one in a hundred is marked, unless the format has no better one.
      const marked = (best) => (value) => (Math.abs(value - best) > 0.01 * best ? "≠ " : "") + short(value);
      const cell = (name, { name: program, loss }) =>
        [`${program}_${name}`, [loss(margin, rounding[name]), marked(rounding[name](exact))]];
      const cells = NAMES.flatMap((name) => programs.map((program) => cell(name, program)));
      return { margin: [margin, nats(2)], ...Object.fromEntries(cells), exact: [exact, short, "Exact loss"] };
    },
    tables: explorable.table("Loss in nats; ≠ is off by more than 1%", ["", ...NAMES],
      programs.map(({ name: program, label }) => [label, ...NAMES.map((name) => `${program}_${name}`)])),
    say: (texts, { format, ...values }) =>
      `Margin ${texts.margin}, exact loss ${texts.exact}. In ${format}: ` +
      `${programs.map(({ name, label }) => `${label} ${short(values[`${name}_${format}`])}`).join(", ")}.`,

    height: HEIGHT,
    scales: (width, { format }) => ({
      margin: scale([-FORMATS[format].limit, FORMATS[format].limit], [52, width - 12]),
      powers: scale([FORMATS[format].lowest, Math.log10(2 * FORMATS[format].limit)], [LANES.low, LANES.high]),
    }),
    draw({ margin: margins, powers }, { format, margin, ...values }) {
      const { limit, ticks, decades, epsilon } = FORMATS[format];
      const [left, right] = margins.range;
      const heights = (place) => (value) =>
        value === 0 ? LANES.zero + 6 * place : value === Infinity ? LANES.top : powers(Math.log10(value));
      const label = Math.min(margins(limit / 3), right - 118);
      const wall = margins(-Math.log(epsilon));
      return [
        text(4, 12, "loss (nats)", "title", "start"),
        ...grid(margins, powers, decades, (power) => (power ? `1e${fixed(0)(power)}` : "1")),
        text(left - 6, LANES.top + 4, "∞", "tick", "end"),
        text(left - 6, LANES.zero + 10, "0", "tick", "end"),
        line(margins(margin), LANES.top, margins(margin), LANES.zero + 20, "zero"),
        ...programs.toReversed().map(({ loss, place, style, stroke }) =>
          graph(margins, heights(place), (at) => loss(at, rounding[format]), `${style} ${stroke}`)),
        text(left, LANES.top - 9, "log of softmax: ∞", "halo", "start"),
        text(wall - 8, LANES.zero - 10, "log of softmax", "halo", "end"),
        text(wall - 8, LANES.zero + 8, "and fused: exactly 0", "halo", "end"),
        text(label, powers(-margins.invert(label) * Math.LOG10E) - 8, "from the log-odds", "halo", "start"),
        ...programs.map(({ name, place, style }) =>
          dot(margins(margin), heights(place)(values[`${name}_${format}`]), `${style} filled`, 8 - 1.5 * place)),
        ...axis(margins, LANES.zero + 26, ticks),
        text((left + right) / 2, HEIGHT - 8, "margin of the right class (nats)", "tick"),
      ];
    },
  });
}

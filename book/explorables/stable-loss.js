// Three programs for one loss, each step rounded to float16, float32 or float64: where they turn to 0 or infinity.
"use strict";

{
  const { axis, clamp, curve, dot, fixed, line, nats, scale, short, steps, text } = explorable;

  // What each format shows: margins up to a limit, in steps that it holds exactly, and losses down to a power of ten.
  const FORMATS = {
    float16: { limit: 24, step: 0.25, ticks: [-20, -10, 0, 10, 20], lowest: -8, decades: [0, -4, -8], epsilon: 2 ** -11 },
    float32: { limit: 120, step: 0.5, ticks: [-100, -50, 0, 50, 100], lowest: -46, decades: [0, -20, -40], epsilon: 2 ** -24 },
    float64: { limit: 800, step: 1, ticks: [-700, 0, 700], lowest: -325, decades: [0, -100, -200, -300], epsilon: 2 ** -53 },
  };

  // The loss of class 0 with logits (margin, 0), by three programs, and the strokes of their curves.
  const PROGRAMS = {
    two_calls: {
      label: "log of softmax",
      style: "ink",
      stroke: "dotted",
      loss(margin, round) {
        const [first, second] = exponentials(margin, round);
        return 0 - round(Math.log(round(first / round(first + second))));
      },
    },
    fused: {
      label: "fused log-softmax",
      style: "vermillion",
      stroke: "thick",
      loss(margin, round) {
        const [first, second] = exponentials(margin, round);
        return round(round(Math.log(round(first + second))) - Math.min(margin, 0));
      },
    },
    log_odds: {
      label: "from the log-odds",
      style: "blue",
      stroke: "wide",
      loss: (margin, round) =>
        round(Math.max(-margin, 0) + round(Math.log1p(round(Math.exp(-Math.abs(margin)))))),
    },
  };

  // Both exponentials, with the larger logit taken off, as every softmax does that does not overflow.
  const exponentials = (margin, round) => [margin, 0].map((each) => round(Math.exp(each - Math.max(margin, 0))));

  const HEIGHT = 340;
  const LANES = { top: 44, high: 60, low: HEIGHT - 96, zero: HEIGHT - 74 }; // side by side where they are 0

  function scales(width, format) {
    const room = [52, width - 12];
    const { limit, lowest } = FORMATS[format];
    const powers = scale([lowest, Math.log10(2 * limit)], [LANES.low, LANES.high]);
    return { room, margins: scale([-limit, limit], room), powers };
  }

  const CELLS = Object.keys(PROGRAMS).flatMap((program) => Object.keys(FORMATS).map((format) => [program, format]));

  // A number that is off by more than one in a hundred is marked, unless the format has no better one.
  const marked = (format) => (value, values) =>
    (Math.abs(value - values[`exact_${format}`]) > 0.01 * values[`exact_${format}`] ? "≠ " : "") + short(value);

  explorable.start({
    state: { format: "float32", margin: 12 },
    controls: [
      {
        name: "margin",
        label: "Margin of the right class",
        range: ({ format }) => [-FORMATS[format].limit, FORMATS[format].limit, FORMATS[format].step],
      },
      {
        name: "format",
        label: "Figure shows",
        options: Object.keys(FORMATS).map((format) => [format, format]),
        read: (format, { margin }) => ({ format, margin: clamp(margin, -FORMATS[format].limit, FORMATS[format].limit) }),
      },
    ],
    values({ format, margin }) {
      const { rounding, softplus } = numerics;
      const exact = softplus(-margin);
      const rounded = Object.keys(FORMATS).map((each) => [`exact_${each}`, rounding[each](exact)]);
      const losses = CELLS.map(([program, each]) => [`${program}_${each}`, PROGRAMS[program].loss(margin, rounding[each])]);
      return { format, margin, exact, ...Object.fromEntries([...rounded, ...losses]) };
    },
    formats: {
      margin: nats(2),
      exact: short,
      ...Object.fromEntries(CELLS.map(([program, format]) => [`${program}_${format}`, marked(format)])),
    },
    readouts:
      explorable.table(
        "Loss in nats; ≠ is off by more than 1 %",
        ["", ...Object.keys(FORMATS)],
        Object.entries(PROGRAMS).map(([program, { label }]) => [
          label,
          ...Object.keys(FORMATS).map((format) => `${program}_${format}`),
        ]),
      ) + explorable.list([["Exact loss", "exact"]]),
    say: (texts, { format, ...values }) =>
      `Margin ${texts.margin}, exact loss ${texts.exact}. In ${format}: ` +
      `${Object.entries(PROGRAMS).map(([name, { label }]) => `${label} ${short(values[`${name}_${format}`])}`).join(", ")}.`,

    height: HEIGHT,
    draw(width, { format, margin, ...values }) {
      const { limit, ticks, decades, epsilon } = FORMATS[format];
      const { room, margins, powers } = scales(width, format);
      const height = (value, place) =>
        value === 0 ? LANES.zero + 6 * place : value === Infinity ? LANES.top : powers(Math.log10(value));
      const every = steps(-limit, limit, 384);
      const programs = Object.entries(PROGRAMS).map(([name, { style, stroke, loss }], place) => ({
        curve: curve(
          every.map((each) => [margins(each), height(loss(each, numerics.rounding[format]), place)]),
          `${style} ${stroke}`,
        ),
        dot: dot(margins(margin), height(values[`${name}_${format}`], place), `${style} filled`, 8 - 1.5 * place),
      }));
      const label = Math.min(margins(limit / 3), room[1] - 118);
      const wall = margins(-Math.log(epsilon));
      return [
        text(4, 12, "loss (nats)", "title", "start"),
        ...decades.flatMap((power) => [
          line(room[0], powers(power), room[1], powers(power), "faint"),
          text(room[0] - 6, powers(power) + 4, power === 0 ? "1" : `1e${fixed(0)(power)}`, "tick", "end"),
        ]),
        text(room[0] - 6, LANES.top + 4, "∞", "tick", "end"),
        text(room[0] - 6, LANES.zero + 10, "0", "tick", "end"),
        line(margins(margin), LANES.top, margins(margin), LANES.zero + 20, "zero"),
        ...programs.map((each) => each.curve).reverse(),
        text(room[0], LANES.top - 9, "log of softmax: ∞", "halo", "start"),
        text(wall - 8, LANES.zero - 10, "log of softmax", "halo", "end"),
        text(wall - 8, LANES.zero + 8, "and fused: exactly 0", "halo", "end"),
        text(label, powers(-margins.invert(label) * Math.LOG10E) - 8, "from the log-odds", "halo", "start"),
        ...programs.map((each) => each.dot),
        ...axis(margins, room, LANES.zero + 26, ticks),
        text((room[0] + room[1]) / 2, HEIGHT - 8, "margin of the right class (nats)", "tick"),
      ];
    },
    drag(_, { x, width }, { format }) {
      const { step } = FORMATS[format];
      return { margin: Math.round(scales(width, format).margins.invert(x) / step) * step };
    },
  });
}

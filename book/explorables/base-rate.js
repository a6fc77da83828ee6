// A threshold and a base rate for one logit: what becomes of a thousand cases, and how far the true log-odds move.
//
// The model was trained with as many yes as no and is right: among the cases to which it gives the probability p, a
// share p is yes. All probabilities are equally frequent there. The density of p is then 2p among the yes and 2(1 - p)
// among the no, whatever the base rate of the place where the model is used.
"use strict";

{
  const { axis, clamp, curve, dot, fixed, line, path, percent, rect, scale, signed, steps, text } = explorable;
  const { expit } = numerics;
  const LIMITS = { shown: 7, threshold: 6, prior: 5 };
  const CASES = 1000;
  const TOP = 26;
  const BASE = 150; // the axis of the model's log-odds
  const TRUE = 200; // the axis of the true ones
  const BARS = [268, 324];
  const HEIGHT = 352;

  // Densities along the log-odds x: that of p, times dp/dx = p (1 - p).
  const ofYes = (x) => 2 * expit(x) ** 2 * expit(-x);
  const ofNo = (x) => ofYes(-x);

  function scales(width) {
    const room = [12, width - 12];
    return { room, nats: scale([-LIMITS.shown, LIMITS.shown], room), density: scale([0, 0.32], [BASE, TOP + 8]) };
  }

  function area(points, base, style) {
    const shape = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");
    return path(`M${points[0][0]},${base}L${shape}L${points.at(-1)[0]},${base}Z`, style);
  }

  // A bar of parts [count, style, label], each with its label, or its last word, if it is wide enough for it.
  function bar(room, y, parts) {
    const total = parts.reduce((sum, [count]) => sum + count, 0);
    let x = room[0];
    return parts.flatMap(([count, style, label]) => {
      const width = (count / total) * (room[1] - room[0]);
      const shapes = [rect(x, y, width, 22, style)];
      const fits = [label, label.split(" ").at(-1)].find((words) => width > 7 * words.length + 8);
      if (fits) shapes.push(text(x + width / 2, y + 16, fits, "halo"));
      x += width;
      return shapes;
    });
  }

  explorable.start({
    state: { threshold: 0, prior: 0 },
    controls: [
      {
        name: "threshold",
        label: "Threshold on the logit",
        min: -LIMITS.threshold,
        max: LIMITS.threshold,
        step: 0.1,
        text: (values) => `${signed(1)(values.threshold)} nats`,
      },
      {
        name: "prior",
        label: "Base rate of yes",
        min: -LIMITS.prior,
        max: LIMITS.prior,
        step: 0.1,
        output: "base_rate",
        text: (values) => percent(values.base_rate),
      },
      {
        name: "even_odds",
        label: "Put the threshold at true log-odds of 0",
        press: (state) => ({ threshold: 0 - state.prior }),
      },
    ],
    values(state) {
      const { threshold, prior } = state;
      const base_rate = expit(prior);
      const recall = expit(-threshold) * (1 + expit(threshold)); // 1 - p^2, without a difference
      const false_alarm_rate = expit(-threshold) ** 2;
      const misses = CASES * base_rate * expit(threshold) ** 2;
      const false_alarms = CASES * expit(-prior) * false_alarm_rate;
      return {
        ...state,
        base_rate,
        true_threshold: threshold + prior,
        true_probability: expit(threshold + prior),
        recall,
        false_alarm_rate,
        // The odds of a yes among the answers yes: the prior odds times the ratio of the two rates.
        precision: expit(prior + Math.log(recall / false_alarm_rate)),
        hits: CASES * base_rate * recall,
        misses,
        false_alarms,
        rejections: CASES * expit(-prior) * expit(threshold) * (1 + expit(-threshold)),
        mistakes: misses + false_alarms,
      };
    },
    readouts: [
      explorable.list([
        ["Recall: of the yes, found", "recall"],
        ["False alarms: of the no, called yes", "false_alarm_rate"],
        ["Precision: of those called yes, right", "precision"],
        ["Mistakes in 1,000", "mistakes"],
        ["True log-odds at the threshold", "true_threshold"],
        ["True probability there", "true_probability"],
      ]),
    ],
    formats: {
      base_rate: percent,
      recall: percent,
      false_alarm_rate: percent,
      precision: percent,
      mistakes: fixed(0),
      true_threshold: (value) => `${signed(1)(value)} nats`,
      true_probability: percent,
    },
    say: (values) =>
      `Threshold ${signed(1)(values.threshold)} on the model's logit, base rate ${percent(values.base_rate)}: ` +
      `true log-odds ${signed(1)(values.true_threshold)} at the threshold, recall ${percent(values.recall)}, ` +
      `false alarms ${percent(values.false_alarm_rate)}, precision ${percent(values.precision)}, ` +
      `${fixed(0)(values.mistakes)} mistakes in 1,000.`,

    height: HEIGHT,
    draw(width, values) {
      const { room, nats, density } = scales(width);
      const { threshold, prior } = values;
      const curveOf = (f) => steps(-LIMITS.shown, LIMITS.shown, 140).map((x) => [nats(x), density(f(x))]);
      const beyond = (f) => steps(threshold, LIMITS.shown, 100).map((x) => [nats(x), density(f(x))]);
      const trueTicks = steps(-12, 12, 12).filter((each) => Math.abs(each - prior) < LIMITS.shown - 0.5);
      const even = nats(-prior);
      const shift = `${prior < 0 ? "−" : "+"} ${fixed(1)(Math.abs(prior))}`;
      const count = (name, words) => `${words} ${fixed(0)(values[name])}`;
      return [
        area(beyond(ofNo), BASE, "vermillion dashed tint"),
        area(beyond(ofYes), BASE, "blue tint"),
        curve(curveOf(ofNo), "vermillion dashed thick"),
        curve(curveOf(ofYes), "blue thick"),
        text(nats(-1.8) - 6, density(ofNo(-1.8)) - 2, "no", "halo", "end"),
        text(nats(1.8) + 6, density(ofYes(1.8)) - 2, "yes", "halo", "start"),
        line(even, TOP + 8, even, TRUE, "ink dotted"),
        line(nats(threshold), TOP, nats(threshold), TRUE, "ink thick"),
        ...axis(nats, room, BASE, [-6, -4, -2, 0, 2, 4, 6].map((each) => [each])),
        text(room[0], BASE + 34, "log-odds of the model", "tick", "start"),
        ...axis((value) => nats(value - prior), room, TRUE, trueTicks.map((each) => [each])),
        text(room[0], TRUE + 34, `true log-odds: those of the model ${shift}`, "tick", "start"),
        dot(nats(threshold), TOP, "ink filled"),
        dot(even, TRUE, "ink hollow", 6),
        text(clamp(nats(threshold), 84, width - 84), 12, "called yes from here →"),
        text(room[0], BARS[0] - 8, "of 1,000 cases", "title", "start"),
        ...bar(room, BARS[0], [
          [values.hits, "blue bar", count("hits", "hits")],
          [values.false_alarms, "vermillion dashed tint", count("false_alarms", "false alarms")],
          [values.misses, "blue outlined", count("misses", "misses")],
          [values.rejections, "empty", count("rejections", "rightly no")],
        ]),
        text(room[0], BARS[1] - 8, "of those called yes", "title", "start"),
        ...bar(room, BARS[1], [
          [values.precision, "blue bar", `hits ${percent(values.precision)}`],
          [1 - values.precision, "vermillion dashed tint", `false alarms ${percent(1 - values.precision)}`],
        ]),
      ];
    },
    grab: ({ y }) => (y > BASE + 22 && y < TRUE + 24 ? "prior" : y < TRUE ? "threshold" : null),
    drag(held, { x, width }) {
      const at = Math.round(10 * scales(width).nats.invert(x)) / 10;
      // The second scale is held by its zero.
      if (held === "prior") return { prior: clamp(0 - at, -LIMITS.prior, LIMITS.prior) };
      return { threshold: clamp(at, -LIMITS.threshold, LIMITS.threshold) };
    },
  });
}

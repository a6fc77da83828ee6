// A threshold and a base rate for one logit: what becomes of a thousand cases, and how far the true log-odds move.
//
// The model was trained with as many positives as negatives and is calibrated there: among the cases to which it gives
// the probability p, a share p is positive, and all p are equally frequent. The density of p is then 2p among the
// positives and 2(1 - p) among the negatives, whatever the base rate of the place where the model is used.
"use strict";

{
  const { axis, clamp, curve, dot, fixed, line, nats, percent, rect, scale, steps, text } = explorable;
  const { expit } = numerics;
  const LIMITS = { shown: 7, threshold: 6, prior: 5 };
  const CASES = 1000;
  const TOP = 26;
  const BASE = 150; // the axis of the model's log-odds
  const TRUE = 200; // the axis of the true ones
  const BARS = [268, 324];

  // Densities along the log-odds x: that of p, times dp/dx = p (1 - p).
  const ofYes = (x) => 2 * expit(x) ** 2 * expit(-x);
  const ofNo = (x) => ofYes(-x);

  function scales(width) {
    const room = [12, width - 12];
    return { room, logOdds: scale([-LIMITS.shown, LIMITS.shown], room), density: scale([0, 0.32], [BASE, TOP + 8]) };
  }

  // A bar of parts [count, style, label], each with its label, or its last word, if it is wide enough for it.
  function bar(room, y, parts) {
    const pixels = (room[1] - room[0]) / parts.reduce((sum, [count]) => sum + count, 0);
    let x = room[0];
    return parts.flatMap(([count, style, label]) => {
      const [left, width] = [x, count * pixels];
      const fits = [label, label.split(" ").at(-1)].find((words) => width > 7 * words.length + 8);
      x += width;
      return [rect(left, y, width, 22, style), fits ? text(left + width / 2, y + 16, fits, "halo") : ""];
    });
  }

  explorable.start({
    state: { threshold: 0, prior: 0 },
    controls: [
      { name: "threshold", label: "Threshold on the logit", range: [-LIMITS.threshold, LIMITS.threshold, 0.1] },
      { name: "prior", label: "Base rate of yes", range: [-LIMITS.prior, LIMITS.prior, 0.1], number: "base_rate" },
      {
        name: "even_odds",
        label: "Put the threshold at true log-odds of 0",
        press: ({ prior }) => ({ threshold: 0 - prior }),
      },
    ],
    values({ threshold, prior }) {
      const base_rate = expit(prior);
      const recall = expit(-threshold) * (1 + expit(threshold)); // 1 - p^2, without a difference
      const false_alarm_rate = expit(-threshold) ** 2;
      const misses = CASES * base_rate * expit(threshold) ** 2;
      const false_alarms = CASES * expit(-prior) * false_alarm_rate;
      return {
        threshold,
        prior,
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
    formats: {
      ...{ threshold: nats(1), true_threshold: nats(1), base_rate: percent, true_probability: percent },
      ...{ recall: percent, false_alarm_rate: percent, precision: percent, mistakes: fixed(0) },
    },
    readouts: explorable.list([
      ["Recall: of the yes, found", "recall"],
      ["False alarms: of the no, called yes", "false_alarm_rate"],
      ["Precision: of those called yes, right", "precision"],
      ["Mistakes in 1,000", "mistakes"],
      ["True log-odds at the threshold", "true_threshold"],
      ["True probability there", "true_probability"],
    ]),
    say: (texts) =>
      `Threshold ${texts.threshold} on the model's logit, base rate ${texts.base_rate}: true log-odds ` +
      `${texts.true_threshold} at the threshold, recall ${texts.recall}, false alarms ${texts.false_alarm_rate}, ` +
      `precision ${texts.precision}, ${texts.mistakes} mistakes in 1,000.`,

    height: 352,
    draw(width, values) {
      const { room, logOdds, density } = scales(width);
      const { threshold, prior, precision } = values;
      const points = (f, from = -LIMITS.shown) =>
        steps(from, LIMITS.shown, 140).map((x) => [logOdds(x), density(f(x))]);
      const beyond = (f, style) =>
        curve([[logOdds(threshold), BASE], ...points(f, threshold), [room[1], BASE]], style);
      const trueTicks = steps(-12, 12, 12).filter((each) => Math.abs(each - prior) < LIMITS.shown - 0.5);
      const even = logOdds(-prior);
      const shift = `${prior < 0 ? "−" : "+"} ${fixed(1)(Math.abs(prior))}`;
      const count = (name, style, words) => [values[name], style, `${words} ${fixed(0)(values[name])}`];
      return [
        beyond(ofNo, "vermillion dashed tint"),
        beyond(ofYes, "blue tint"),
        curve(points(ofNo), "vermillion dashed thick"),
        curve(points(ofYes), "blue thick"),
        text(logOdds(-1.8) - 6, density(ofNo(-1.8)) - 2, "no", "halo", "end"),
        text(logOdds(1.8) + 6, density(ofYes(1.8)) - 2, "yes", "halo", "start"),
        line(even, TOP + 8, even, TRUE, "ink dotted"),
        line(logOdds(threshold), TOP, logOdds(threshold), TRUE, "ink thick"),
        ...axis(logOdds, room, BASE, [-6, -4, -2, 0, 2, 4, 6]),
        text(room[0], BASE + 34, "log-odds of the model", "tick", "start"),
        ...axis((value) => logOdds(value - prior), room, TRUE, trueTicks),
        text(room[0], TRUE + 34, `true log-odds: those of the model ${shift}`, "tick", "start"),
        dot(logOdds(threshold), TOP, "ink filled"),
        dot(even, TRUE, "ink hollow", 6),
        text(clamp(logOdds(threshold), 84, width - 84), 12, "called yes from here →"),
        text(room[0], BARS[0] - 8, "of 1,000 cases", "title", "start"),
        ...bar(room, BARS[0], [
          count("hits", "blue bar", "hits"),
          count("false_alarms", "vermillion dashed tint", "false alarms"),
          count("misses", "blue outlined", "misses"),
          count("rejections", "empty", "rightly no"),
        ]),
        text(room[0], BARS[1] - 8, "of those called yes", "title", "start"),
        ...bar(room, BARS[1], [
          [precision, "blue bar", `hits ${percent(precision)}`],
          [1 - precision, "vermillion dashed tint", `false alarms ${percent(1 - precision)}`],
        ]),
      ];
    },
    grab: ({ y }) => (y > BASE + 22 && y < TRUE + 24 ? "prior" : y < TRUE ? "threshold" : null),
    drag(held, { x, width }) {
      const at = Math.round(10 * scales(width).logOdds.invert(x)) / 10;
      return { [held]: clamp(held === "prior" ? 0 - at : at, -LIMITS[held], LIMITS[held]) }; // the prior by its zero
    },
  });
}

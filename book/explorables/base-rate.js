// A threshold and a base rate for one logit: what becomes of a thousand cases, and how far the true log-odds move.
//
// The model was trained with as many positives as negatives and is calibrated there: among the cases to which it gives
// the probability p, a share p is positive, and all p are equally frequent. The density of p is then 2p among the
// positives and 2(1 - p) among the negatives, whatever the base rate of the place where the model is used.
"use strict";

{
  const { axis, clamp, curve, dot, fixed, line, nats, percent, rect, scale, steps, text } = explorable;
  const { expit } = numerics;
  const SHOWN = 7; // nats
  const [TOP, BASE, TRUE, CASES, CALLED] = [26, 150, 200, 268, 324]; // of the figure's axes and bars

  // Densities along the log-odds x: that of p, times dp/dx = p (1 - p).
  const ofYes = (x) => 2 * expit(x) ** 2 * expit(-x);
  const ofNo = (x) => ofYes(-x);

  // A bar of parts [count, style, label], each with its label, or its last word, if it is wide enough for it.
  function bar(room, y, title, parts) {
    const pixels = (room[1] - room[0]) / parts.reduce((sum, [count]) => sum + count, 0);
    let x = room[0];
    const drawn = parts.flatMap(([count, style, label]) => {
      const [left, width] = [x, count * pixels];
      const fits = [label, label.split(" ").at(-1)].find((words) => width > 7 * words.length + 8);
      x += width;
      return [rect(left, y, width, 22, style), fits ? text(left + width / 2, y + 16, fits, "halo") : ""];
    });
    return [text(room[0], y - 8, title, "title", "start"), ...drawn];
  }

  // What becomes of a thousand cases; with 1 - p^2 and the like written without a difference.
  function outcomes({ threshold, prior }) {
    const [yes, no] = [1000 * expit(prior), 1000 * expit(-prior)];
    const recall = expit(-threshold) * (1 + expit(threshold));
    const falseAlarmRate = expit(-threshold) ** 2;
    return {
      recall,
      falseAlarmRate,
      precision: expit(prior + Math.log(recall / falseAlarmRate)), // the prior odds times the ratio of the rates
      hits: yes * recall,
      misses: yes * expit(threshold) ** 2,
      falseAlarms: no * falseAlarmRate,
      rejections: no * expit(threshold) * (1 + expit(-threshold)),
    };
  }

  explorable.start({
    state: { threshold: 0, prior: 0 },
    controls: [
      { name: "threshold", label: "Threshold on the logit", range: [-6, 6, 0.1] },
      { name: "prior", label: "Base rate of yes", range: [-5, 5, 0.1], number: "base_rate" },
      { name: "even_odds", label: "Put the threshold at true log-odds of 0",
        press: ({ prior }) => ({ threshold: 0 - prior }) },
    ],
    numbers(state) {
      const { recall, falseAlarmRate, precision, misses, falseAlarms } = outcomes(state);
      const there = state.threshold + state.prior;
      return {
        threshold: [state.threshold, nats(1)],
        base_rate: [expit(state.prior), percent],
        recall: [recall, percent, "Recall: of the yes, found"],
        false_alarm_rate: [falseAlarmRate, percent, "False alarms: of the no, called yes"],
        precision: [precision, percent, "Precision: of those called yes, right"],
        mistakes: [misses + falseAlarms, fixed(0), "Mistakes in 1,000"],
        true_threshold: [there, nats(1), "True log-odds at the threshold"],
        true_probability: [expit(there), percent, "True probability there"],
      };
    },
    say: (texts) =>
      `Threshold ${texts.threshold} on the model's logit, base rate ${texts.base_rate}: true log-odds ` +
      `${texts.true_threshold} at the threshold, recall ${texts.recall}, false alarms ${texts.false_alarm_rate}, ` +
      `precision ${texts.precision}, ${texts.mistakes} mistakes in 1,000.`,

    height: 352,
    scales(width) {
      const room = [12, width - 12];
      return { room, logOdds: scale([-SHOWN, SHOWN], room), density: scale([0, 0.32], [BASE, TOP + 8]) };
    },
    draw({ room, logOdds, density }, { threshold, prior }) {
      const { precision, ...cases } = outcomes({ threshold, prior });
      const points = (f, from = -SHOWN) => steps(from, SHOWN, 140).map((x) => [logOdds(x), density(f(x))]);
      const beyond = (f, style) =>
        curve([[logOdds(threshold), BASE], ...points(f, threshold), [room[1], BASE]], style);
      const trueTicks = steps(-12, 12, 12).filter((each) => Math.abs(each - prior) < SHOWN - 0.5);
      const even = logOdds(-prior);
      const shift = `${prior < 0 ? "−" : "+"} ${fixed(1)(Math.abs(prior))}`;
      const count = (name, style, words) => [cases[name], style, `${words} ${fixed(0)(cases[name])}`];
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
        text(clamp(logOdds(threshold), room[0] + 72, room[1] - 72), 12, "called yes from here →"),
        ...bar(room, CASES, "of 1,000 cases", [
          count("hits", "blue bar", "hits"),
          count("falseAlarms", "vermillion dashed tint", "false alarms"),
          count("misses", "blue outlined", "misses"),
          count("rejections", "empty", "rightly no"),
        ]),
        ...bar(room, CALLED, "of those called yes", [
          [precision, "blue bar", `hits ${percent(precision)}`],
          [1 - precision, "vermillion dashed tint", `false alarms ${percent(1 - precision)}`],
        ]),
      ];
    },
    grab: (_, x, y) => (y > BASE + 22 && y < TRUE + 24 ? "prior" : y < TRUE && "threshold"),
    drag: {
      threshold: ({ logOdds }, x) => logOdds.invert(x),
      prior: ({ logOdds }, x) => -logOdds.invert(x), // held where the true log-odds are 0
    },
  });
}

// A threshold and a base rate for one logit: what becomes of a thousand cases, and how far the true log-odds move.
//
// The model was trained with as many positives as negatives and is calibrated there: among the cases to which it gives
// the probability p, a share p is positive, and all p are equally frequent. The density of p is then 2p among the
// positives and 2(1 - p) among the negatives, whatever the base rate of the place where the model is used.
"use strict";

{
  const { axis, clamp, curve, dot, fixed, graph, line, nats, percent, points, rect, scale, steps, text } = explorable;
  const { expit } = numerics;
  const SHOWN = 7; // nats
  const [TOP, BASE, TRUE, CASES, CALLED] = [26, 150, 200, 268, 324]; // of the figure's axes and bars

  // Densities along the log-odds x: that of p, times dp/dx = p (1 - p).
  const ofYes = (x) => 2 * expit(x) ** 2 * expit(-x);
  const ofNo = (x) => ofYes(-x);

  // A bar of parts [count, style, label], each with its label, or its last word, if it is wide enough for it.
  function bar([left, right], y, title, parts) {
    const pixels = (right - left) / parts.reduce((sum, [count]) => sum + count, 0);
    let x = left;
    const drawn = parts.flatMap(([count, style, label]) => {
      const width = count * pixels;
      const fits = [label, label.split(" ").at(-1)].find((words) => width > 7 * words.length + 8);
      x += width;
      return [rect(x - width, y, width, 22, style), fits ? text(x - width / 2, y + 16, fits, "halo") : ""];
    });
    return [text(left, y - 8, title, "title", "start"), ...drawn];
  }

  explorable.start({
    state: { threshold: 0, prior: 0 },
    controls: {
      threshold: { label: "Threshold on the logit", range: [-6, 6, 0.1] },
      prior: { label: "Base rate of yes", range: [-5, 5, 0.1], number: "base_rate" },
    },
    buttons: { "Put the threshold at true log-odds of 0": ({ prior }) => ({ threshold: 0 - prior }) },
    numbers({ threshold, prior }) {
      const [p, q] = [expit(threshold), expit(-threshold)]; // so that 1 - p^2 is written without a difference
      const [yes, no] = [1000 * expit(prior), 1000 * expit(-prior)];
      const [found, called] = [q * (1 + p), q ** 2];
      return {
        threshold: [threshold, nats(1)],
        base_rate: [expit(prior), percent],
        recall: [found, percent, "Recall: of the yes, found"],
        false_alarm_rate: [called, percent, "False alarms: of the no, called yes"],
        // the prior odds times the ratio of the rates
        precision: [expit(prior + Math.log(found / called)), percent, "Precision: of those called yes, right"],
        mistakes: [yes * p ** 2 + no * called, fixed(0), "Mistakes in 1,000"],
        true_threshold: [threshold + prior, nats(1), "True log-odds at the threshold"],
        true_probability: [expit(threshold + prior), percent, "True probability there"],
        hits: [yes * found, fixed(0)],
        false_alarms: [no * called, fixed(0)],
        misses: [yes * p ** 2, fixed(0)],
        rejections: [no * p * (1 + q), fixed(0)],
      };
    },
    say: (texts) =>
      `Threshold ${texts.threshold} on the model's logit, base rate ${texts.base_rate}: true log-odds ` +
      `${texts.true_threshold} at the threshold, recall ${texts.recall}, false alarms ${texts.false_alarm_rate}, ` +
      `precision ${texts.precision}, ${texts.mistakes} mistakes in 1,000.`,

    height: 352,
    scales: (width, { prior }) => ({
      threshold: scale([-SHOWN, SHOWN], [12, width - 12]),
      prior: scale([SHOWN, -SHOWN], [12, width - 12]), // held where the true log-odds are 0
      trueLogOdds: scale([prior - SHOWN, prior + SHOWN], [12, width - 12]),
      density: scale([0, 0.32], [BASE, TOP + 8]),
    }),
    draw({ threshold: logOdds, trueLogOdds, density }, { threshold, prior, precision, ...values }, texts) {
      const [[left, right], at, even] = [logOdds.range, logOdds(threshold), trueLogOdds(0)];
      const beyond = (f, style) =>
        curve([[at, BASE], ...points(logOdds, density, f, [threshold, SHOWN]), [right, BASE]], style);
      const trueTicks = steps(-12, 12, 12).filter((each) => Math.abs(each - prior) < SHOWN - 0.5);
      const shift = `${prior < 0 ? "−" : "+"} ${fixed(1)(Math.abs(prior))}`;
      const count = (name, style, words) => [values[name], style, `${words} ${texts[name]}`];
      return [
        beyond(ofNo, "vermillion dashed tint"),
        beyond(ofYes, "blue tint"),
        graph(logOdds, density, ofNo, "vermillion dashed thick"),
        graph(logOdds, density, ofYes, "blue thick"),
        text(logOdds(-1.8) - 6, density(ofNo(-1.8)) - 2, "no", "halo", "end"),
        text(logOdds(1.8) + 6, density(ofYes(1.8)) - 2, "yes", "halo", "start"),
        line(even, TOP + 8, even, TRUE, "ink dotted"),
        line(at, TOP, at, TRUE, "ink thick"),
        ...axis(logOdds, BASE, [-6, -4, -2, 0, 2, 4, 6]),
        text(left, BASE + 34, "log-odds of the model", "tick", "start"),
        ...axis(trueLogOdds, TRUE, trueTicks),
        text(left, TRUE + 34, `true log-odds: those of the model ${shift}`, "tick", "start"),
        dot(at, TOP, "ink filled"),
        dot(even, TRUE, "ink hollow", 6),
        text(clamp(at, left + 72, right - 72), 12, "called yes from here →"),
        ...bar(logOdds.range, CASES, "of 1,000 cases", [
          count("hits", "blue bar", "hits"),
          count("false_alarms", "vermillion dashed tint", "false alarms"),
          count("misses", "blue outlined", "misses"),
          count("rejections", "empty", "rightly no"),
        ]),
        ...bar(logOdds.range, CALLED, "of those called yes", [
          [precision, "blue bar", `hits ${percent(precision)}`],
          [1 - precision, "vermillion dashed tint", `false alarms ${percent(1 - precision)}`],
        ]),
      ];
    },
    grab: (x, y) => (y > BASE + 22 && y < TRUE + 24 ? "prior" : y < TRUE && "threshold"),
  });
}

// One number on three scales: probability, odds and log-odds, and equal steps of log-odds on each of them.
"use strict";

{
  const { axis, clamp, dot, fixed, nats, path, scale, signed, text } = explorable;
  const { expit, logit } = numerics;
  const LIMIT = 7; // nats, a probability of 0.999
  const DECIBANS = 10 / Math.LN10; // in a nat
  const STEPS = {
    decibans: { size: Math.LN10, name: "10 decibans", factor: "10" },
    nat: { size: 1, name: "1 nat", factor: "2.718" },
    double: { size: Math.LN2, name: "log 2 nats", factor: "2" },
  };
  const ROWS = { probability: 34, odds: 140, log_odds: 226 };
  const BETWEEN = (ROWS.probability + ROWS.odds) / 2;
  const move = (direction) => ({ log_odds, step }) => ({
    log_odds: clamp(log_odds + direction * STEPS[step].size, -LIMIT, LIMIT),
  });

  // Odds with the larger number in full: 1 to 1,000 or 4.00 to 1.
  const full = new Intl.NumberFormat("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
  const toOne = (odds) => (odds < 1 ? `1 to ${full.format(1 / odds)}` : `${full.format(odds)} to 1`);

  explorable.start({
    state: { log_odds: Math.log(4), step: "decibans" },
    controls: {
      probability: { label: "Probability", range: [0.001, 0.999, 0.001],
        read: (p) => ({ log_odds: logit(p) }), show: ({ log_odds }) => expit(log_odds) },
      odds: { label: "Odds", range: [-3, 3, 0.1], // in decibans, tenths of the logarithm to base ten
        read: (power) => ({ log_odds: power * Math.LN10 }), show: ({ log_odds }) => log_odds / Math.LN10 },
      log_odds: { label: "Log-odds", range: [-LIMIT, LIMIT, 0.1] },
      step: { label: "Step",
        options: Object.entries(STEPS).map(([step, { name, factor }]) => [step, `${name}: odds × ${factor}`]) },
    },
    buttons: { "One step down": move(-1), "One step up": move(1) },
    numbers({ log_odds, step }) {
      const next = log_odds + STEPS[step].size;
      return {
        probability: [expit(log_odds), fixed(3)],
        odds: [Math.exp(log_odds), toOne],
        log_odds: [log_odds, nats(2)],
        decibans: [log_odds * DECIBANS, signed(1), "In decibans"],
        next_odds: [Math.exp(next), toOne, "Odds one step up"],
        next_probability: [expit(next), fixed(3), "Probability one step up"],
      };
    },
    say: (texts, { step }) =>
      `Probability ${texts.probability} is odds of ${texts.odds} and log-odds of ${texts.log_odds}, ${texts.decibans} ` +
      `decibans. ${STEPS[step].name} more: odds ${texts.next_odds}, probability ${texts.next_probability}.`,

    height: 284,
    scales: (width) => ({
      probability: scale([0, 1], [26, width - 26]),
      odds: scale([-LIMIT / Math.LN10, LIMIT / Math.LN10], [26, width - 26]),
      log_odds: scale([-LIMIT, LIMIT], [26, width - 26]),
    }),
    draw({ probability, log_odds: logOdds }, { log_odds: now, step }) {
      const { size, factor } = STEPS[step];
      const [start, end] = logOdds.range;
      // A line from a number among the probabilities down to the same number among the odds and the log-odds.
      const rung = (at, style) => {
        const [top, bottom] = [probability(expit(at)), logOdds(at)];
        const bend = `${top},${BETWEEN + 12} ${bottom},${BETWEEN} ${bottom},${ROWS.odds}`;
        return path(`M${top},${ROWS.probability}C${bend}V${ROWS.log_odds}`, style);
      };
      const ladder = Array.from({ length: 41 }, (_, i) => now + (i - 20) * size).filter((at) => Math.abs(at) <= LIMIT);
      const near = now + size <= LIMIT ? now + size : now - size; // the step that is named
      const [left, right] = [logOdds(Math.min(now, near)), logOdds(Math.max(now, near))];
      const y = (ROWS.odds + ROWS.log_odds) / 2 + 6;
      const odds = end < 434 ? [0.01, 1, 100] : [0.001, 0.01, 0.1, 1, 10, 100, 1000];
      return [
        ...ladder.map((at) => rung(at, "faint")),
        rung(near, "blue dashed"),
        rung(now, "blue thick"),
        ...axis(probability, ROWS.probability, [0, 0.25, 0.5, 0.75, 1], String),
        ...axis(logOdds, ROWS.odds, odds.map(Math.log), (at) => (at < 0 ? "1/" : "") + fixed(0)(Math.exp(Math.abs(at)))),
        ...axis(logOdds, ROWS.log_odds, [-6, -4, -2, 0, 2, 4, 6]),
        ...[-30, -20, -10, 0, 10, 20, 30].map((each) =>
          text(logOdds(each / DECIBANS), ROWS.log_odds + 36, fixed(0)(each), "tick")),
        text(end, ROWS.log_odds + 54, "upper line in nats, lower line in decibans", "tick", "end"),
        path(`M${left},${y}H${right}M${right - 7},${y - 4}L${right},${y}L${right - 7},${y + 4}`, "blue"),
        text(clamp((left + right) / 2, start + 40, end - 40), y - 7, `odds × ${factor}`, "halo"),
        text(start, 12, "probability", "title", "start"),
        text(start, ROWS.odds - 12, "odds", "title", "start"),
        text(start, ROWS.log_odds - 12, "log-odds", "title", "start"),
        dot(probability(expit(now)), ROWS.probability, "blue filled"),
        dot(logOdds(now), ROWS.odds, "blue filled"),
        dot(logOdds(now), ROWS.log_odds, "blue filled"),
      ];
    },
    grab: (x, y) => (y < BETWEEN ? "probability" : y < 190 ? "odds" : "log_odds"),
  });
}

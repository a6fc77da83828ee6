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
  function toOne(odds) {
    const larger = Math.max(odds, 1 / odds).toPrecision(3);
    const words = larger >= 1000 ? Number(larger).toLocaleString("en-GB") : larger;
    return odds < 1 ? `1 to ${words}` : `${words} to 1`;
  }

  explorable.start({
    state: { log_odds: Math.log(4), step: "decibans" },
    controls: [
      { name: "probability", label: "Probability", range: [0.001, 0.999, 0.001],
        read: (p) => ({ log_odds: logit(p) }), show: ({ log_odds }) => expit(log_odds) },
      { name: "odds", label: "Odds", range: [-3, 3, 0.1], // in decibans, tenths of the logarithm to base ten
        read: (power) => ({ log_odds: power * Math.LN10 }), show: ({ log_odds }) => log_odds / Math.LN10 },
      { name: "log_odds", label: "Log-odds", range: [-LIMIT, LIMIT, 0.1] },
      { name: "step", label: "Step",
        options: Object.entries(STEPS).map(([step, { name, factor }]) => [step, `${name}: odds × ${factor}`]) },
      { name: "down", label: "One step down", press: move(-1) },
      { name: "up", label: "One step up", press: move(1) },
    ],
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
    scales(width) {
      const room = [26, width - 26];
      return { width, room, probability: scale([0, 1], room), logOdds: scale([-LIMIT, LIMIT], room) };
    },
    draw({ width, room, probability, logOdds }, { log_odds: now, step }) {
      const { size, factor } = STEPS[step];
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
      const odds = width < 460 ? [0.01, 1, 100] : [0.001, 0.01, 0.1, 1, 10, 100, 1000];
      return [
        ...ladder.map((at) => rung(at, "faint")),
        rung(near, "blue dashed"),
        rung(now, "blue thick"),
        ...axis(probability, room, ROWS.probability, [0, 0.25, 0.5, 0.75, 1].map((p) => [p, String(p)])),
        ...axis(logOdds, room, ROWS.odds, odds.map((each) => [Math.log(each), each < 1 ? `1/${1 / each}` : String(each)])),
        ...axis(logOdds, room, ROWS.log_odds, [-6, -4, -2, 0, 2, 4, 6]),
        ...[-30, -20, -10, 0, 10, 20, 30].map((each) =>
          text(logOdds(each / DECIBANS), ROWS.log_odds + 36, fixed(0)(each), "tick")),
        text(room[1], ROWS.log_odds + 54, "upper line in nats, lower line in decibans", "tick", "end"),
        path(`M${left},${y}H${right}M${right - 7},${y - 4}L${right},${y}L${right - 7},${y + 4}`, "blue"),
        text(clamp((left + right) / 2, room[0] + 40, room[1] - 40), y - 7, `odds × ${factor}`, "halo"),
        text(room[0], 12, "probability", "title", "start"),
        text(room[0], ROWS.odds - 12, "odds", "title", "start"),
        text(room[0], ROWS.log_odds - 12, "log-odds", "title", "start"),
        dot(probability(expit(now)), ROWS.probability, "blue filled"),
        dot(logOdds(now), ROWS.odds, "blue filled"),
        dot(logOdds(now), ROWS.log_odds, "blue filled"),
      ];
    },
    grab: (_, x, y) => (y < BETWEEN ? "probability" : y < 190 ? "odds" : "log_odds"),
    drag: {
      probability: ({ probability }, x) => probability.invert(x),
      odds: ({ logOdds }, x) => logOdds.invert(x) / Math.LN10,
      log_odds: ({ logOdds }, x) => logOdds.invert(x),
    },
  });
}

// One number on three scales: probability, odds and log-odds, and equal steps of log-odds on each of them.
"use strict";

{
  const { axis, clamp, dot, fixed, line, nats, path, scale, signed, text } = explorable;
  const { expit, logit } = numerics;
  const LIMIT = 7; // nats, a probability of 0.999
  const DECIBANS = 10 / Math.LN10; // in a nat
  const STEPS = {
    decibans: { size: Math.LN10, name: "10 decibans", factor: "10" },
    nat: { size: 1, name: "1 nat", factor: "2.718" },
    double: { size: Math.LN2, name: "log 2 nats", factor: "2" },
  };
  const ROWS = { probability: 34, odds: 140, log_odds: 226 };
  const within = (logOdds) => clamp(logOdds, -LIMIT, LIMIT);
  const move = (direction) => (state) => ({ log_odds: within(state.log_odds + direction * STEPS[state.step].size) });

  // Odds with the larger number in full: 1 to 1,000 or 4.00 to 1.
  function toOne(odds) {
    const larger = Math.max(odds, 1 / odds).toPrecision(3);
    const words = larger >= 1000 ? Number(larger).toLocaleString("en-GB") : larger;
    return odds < 1 ? `1 to ${words}` : `${words} to 1`;
  }

  function scales(width) {
    const room = [26, width - 26];
    return { room, probability: scale([0, 1], room), logOdds: scale([-LIMIT, LIMIT], room) };
  }

  explorable.start({
    state: { log_odds: Math.log(4), step: "decibans" },
    controls: [
      {
        name: "probability",
        label: "Probability",
        range: [0.001, 0.999, 0.001],
        read: (p) => ({ log_odds: logit(p) }),
        show: (state) => expit(state.log_odds),
      },
      {
        name: "odds",
        label: "Odds",
        range: [-3, 3, 0.1], // the slider moves in decibans, tenths of the logarithm to base ten
        read: (logarithm) => ({ log_odds: logarithm * Math.LN10 }),
        show: (state) => state.log_odds / Math.LN10,
      },
      { name: "log_odds", label: "Log-odds", range: [-LIMIT, LIMIT, 0.1] },
      {
        name: "step",
        label: "Step",
        options: Object.entries(STEPS).map(([value, { name, factor }]) => [value, `${name}: odds × ${factor}`]),
      },
      { name: "down", label: "One step down", press: move(-1) },
      { name: "up", label: "One step up", press: move(1) },
    ],
    values({ log_odds, step }) {
      const next = log_odds + STEPS[step].size;
      return {
        ...{ step, log_odds, probability: expit(log_odds), odds: Math.exp(log_odds), decibans: log_odds * DECIBANS },
        ...{ next_probability: expit(next), next_odds: Math.exp(next) },
      };
    },
    formats: {
      ...{ probability: fixed(3), odds: toOne, log_odds: nats(2), decibans: signed(1) },
      ...{ next_odds: toOne, next_probability: fixed(3) },
    },
    readouts: explorable.list([
      ["In decibans", "decibans"],
      ["Odds one step up", "next_odds"],
      ["Probability one step up", "next_probability"],
    ]),
    say: (texts, { step }) =>
      `Probability ${texts.probability} is odds of ${texts.odds} and log-odds of ${texts.log_odds}, ${texts.decibans} ` +
      `decibans. ${STEPS[step].name} more: odds ${texts.next_odds}, probability ${texts.next_probability}.`,

    height: 284,
    draw(width, { log_odds: now, probability: p, step }) {
      const { room, probability, logOdds } = scales(width);
      const { size, factor } = STEPS[step];
      // A line from a number among the probabilities down to the same number among the odds and the log-odds.
      const rung = (at, style) => {
        const [top, bottom] = [probability(expit(at)), logOdds(at)];
        const middle = (ROWS.probability + ROWS.odds) / 2;
        const bend = `${top},${middle + 12} ${bottom},${middle} ${bottom},${ROWS.odds}`;
        return path(`M${top},${ROWS.probability}C${bend}V${ROWS.log_odds}`, style);
      };
      const ladder = Array.from({ length: 41 }, (_, i) => now + (i - 20) * size).filter((each) => Math.abs(each) <= LIMIT);
      const near = now + size <= LIMIT ? now + size : now - size; // the step that is named
      const [left, right] = [logOdds(Math.min(now, near)), logOdds(Math.max(now, near))];
      const y = (ROWS.odds + ROWS.log_odds) / 2 + 6;
      const odds = width < 460 ? [0.01, 1, 100] : [0.001, 0.01, 0.1, 1, 10, 100, 1000];
      return [
        ...ladder.map((each) => rung(each, "faint")),
        rung(near, "blue dashed"),
        rung(now, "blue thick"),
        ...axis(probability, room, ROWS.probability, [0, 0.25, 0.5, 0.75, 1].map((each) => [each, String(each)])),
        ...axis(logOdds, room, ROWS.odds, odds.map((each) => [Math.log(each), each < 1 ? `1/${1 / each}` : String(each)])),
        ...axis(logOdds, room, ROWS.log_odds, [-6, -4, -2, 0, 2, 4, 6]),
        ...[-30, -20, -10, 0, 10, 20, 30].map((each) =>
          text(logOdds(each / DECIBANS), ROWS.log_odds + 36, fixed(0)(each), "tick"),
        ),
        text(room[1], ROWS.log_odds + 54, "upper line in nats, lower line in decibans", "tick", "end"),
        line(left, y, right, y, "blue"),
        path(`M${right - 7},${y - 4}L${right},${y}L${right - 7},${y + 4}`, "blue"),
        text(clamp((left + right) / 2, room[0] + 40, room[1] - 40), y - 7, `odds × ${factor}`, "halo"),
        text(room[0], 12, "probability", "title", "start"),
        text(room[0], ROWS.odds - 12, "odds", "title", "start"),
        text(room[0], ROWS.log_odds - 12, "log-odds", "title", "start"),
        dot(probability(p), ROWS.probability, "blue filled"),
        dot(logOdds(now), ROWS.odds, "blue filled"),
        dot(logOdds(now), ROWS.log_odds, "blue filled"),
      ];
    },
    grab: ({ y }) => (y < (ROWS.probability + ROWS.odds) / 2 ? "probability" : y < 190 ? "odds" : "log_odds"),
    drag(held, { x, width }) {
      const { probability, logOdds } = scales(width);
      if (held === "probability") {
        return { log_odds: logit(clamp(Math.round(1000 * probability.invert(x)) / 1000, 0.001, 0.999)) };
      }
      const unit = held === "odds" ? Math.LN10 / 100 : 0.01;
      return { log_odds: within(Math.round(logOdds.invert(x) / unit) * unit) };
    },
  });
}

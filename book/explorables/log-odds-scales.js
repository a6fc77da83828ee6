// One number on three scales: probability, odds and log-odds, and equal steps of log-odds on each of them.
"use strict";

{
  const { axis, clamp, dot, fixed, line, path, plain, scale, signed, text } = explorable;
  const LIMIT = 7; // nats, a probability of 0.999
  const DECIBANS = 10 / Math.LN10; // in a nat
  const STEPS = { nat: 1, decibans: Math.LN10, double: Math.LN2 }; // in nats
  const STEP_NAMES = { nat: "1 nat", decibans: "10 decibans", double: "log 2 nats" };
  const within = (logOdds) => clamp(logOdds, -LIMIT, LIMIT);
  const move = (direction) => (state) => ({ log_odds: within(state.log_odds + direction * STEPS[state.step]) });

  // Odds with the larger number in full: 1 to 1,000 or 4.00 to 1.
  function toOne(odds) {
    const larger = Math.max(odds, 1 / odds).toPrecision(3);
    const words = larger >= 1000 ? Number(larger).toLocaleString("en-GB") : larger;
    return odds < 1 ? `1 to ${words}` : `${words} to 1`;
  }

  const ROWS = { probability: 34, odds: 140, log_odds: 226 };

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
        min: 0.001,
        max: 0.999,
        step: 0.001,
        read: (p) => ({ log_odds: numerics.logit(p) }),
        show: (state) => numerics.expit(state.log_odds),
        output: "probability",
        text: (values) => fixed(3)(values.probability),
      },
      {
        name: "odds",
        label: "Odds",
        min: -3, // the slider moves in decibans, tenths of the logarithm to base ten
        max: 3,
        step: 0.1,
        read: (logarithm) => ({ log_odds: logarithm * Math.LN10 }),
        show: (state) => state.log_odds / Math.LN10,
        output: "odds",
        text: (values) => toOne(values.odds),
      },
      {
        name: "log_odds",
        label: "Log-odds",
        min: -LIMIT,
        max: LIMIT,
        step: 0.1,
        output: "log_odds",
        text: (values) => `${signed(2)(values.log_odds)} nats`,
      },
      {
        name: "step",
        label: "Step",
        options: [
          ["decibans", "10 decibans: odds × 10"],
          ["nat", "1 nat: odds × 2.718"],
          ["double", "log 2 nats: odds × 2"],
        ],
      },
      { name: "down", label: "One step down", press: move(-1) },
      { name: "up", label: "One step up", press: move(1) },
    ],
    values(state) {
      const step = STEPS[state.step];
      const probability = numerics.expit(state.log_odds);
      return {
        ...state,
        probability,
        odds: Math.exp(state.log_odds),
        decibans: state.log_odds * DECIBANS,
        size: step,
        next_probability: numerics.expit(state.log_odds + step),
        next_odds: Math.exp(state.log_odds + step),
      };
    },
    readouts: [
      explorable.list([
        ["In decibans", "decibans"],
        ["Odds one step up", "next_odds"],
        ["Probability one step up", "next_probability"],
      ]),
    ],
    formats: {
      probability: fixed(3),
      odds: toOne,
      log_odds: (logOdds) => `${signed(2)(logOdds)} nats`,
      decibans: signed(1),
      next_odds: toOne,
      next_probability: fixed(3),
    },
    say: (values) =>
      `Probability ${fixed(3)(values.probability)} is odds of ${toOne(values.odds)} and log-odds of ` +
      `${signed(2)(values.log_odds)} nats, ${signed(1)(values.decibans)} decibans. ` +
      `${STEP_NAMES[values.step]} more: odds ${toOne(values.next_odds)}, ` +
      `probability ${fixed(3)(values.next_probability)}.`,

    height: 284,
    draw(width, values) {
      const { room, probability, logOdds } = scales(width);
      const { log_odds: now, size } = values;
      const rung = (at, style) => {
        const [top, bottom] = [probability(numerics.expit(at)), logOdds(at)];
        const middle = (ROWS.probability + ROWS.odds) / 2;
        return path(
          `M${top},${ROWS.probability}C${top},${middle + 12} ${bottom},${middle} ${bottom},${ROWS.odds}V${ROWS.log_odds}`,
          style,
        );
      };
      const ladder = [];
      for (let k = Math.ceil((-LIMIT - now) / size); now + k * size <= LIMIT; k++) {
        if (k !== 0) ladder.push(rung(now + k * size, "faint"));
      }
      const near = now + size <= LIMIT ? now + size : now - size; // the step that is named
      const [left, right] = [logOdds(Math.min(now, near)), logOdds(Math.max(now, near))];
      const y = (ROWS.odds + ROWS.log_odds) / 2 + 6;
      const middle = clamp((left + right) / 2, room[0] + 40, room[1] - 40);
      const odds = width < 460 ? [0.01, 1, 100] : [0.001, 0.01, 0.1, 1, 10, 100, 1000];
      return [
        ...ladder,
        rung(near, "blue dashed"),
        rung(now, "blue thick"),
        ...axis(probability, room, ROWS.probability, [0, 0.25, 0.5, 0.75, 1].map((p) => [p, String(p)])),
        ...axis(logOdds, room, ROWS.odds, odds.map((each) => [Math.log(each), each < 1 ? `1/${1 / each}` : String(each)])),
        ...axis(logOdds, room, ROWS.log_odds, [-6, -4, -2, 0, 2, 4, 6].map((each) => [each])),
        ...[-30, -20, -10, 0, 10, 20, 30].map((each) =>
          text(logOdds(each / DECIBANS), ROWS.log_odds + 36, fixed(0)(each), "tick"),
        ),
        text(room[1], ROWS.log_odds + 54, "upper line in nats, lower line in decibans", "tick", "end"),
        line(left, y, right, y, "blue"),
        path(`M${right - 7},${y - 4}L${right},${y}L${right - 7},${y + 4}`, "blue"),
        text(middle, y - 7, `odds × ${plain(Math.exp(size))}`, "halo"),
        text(room[0], 12, "probability", "title", "start"),
        text(room[0], ROWS.odds - 12, "odds", "title", "start"),
        text(room[0], ROWS.log_odds - 12, "log-odds", "title", "start"),
        dot(probability(values.probability), ROWS.probability, "blue filled"),
        dot(logOdds(now), ROWS.odds, "blue filled"),
        dot(logOdds(now), ROWS.log_odds, "blue filled"),
      ];
    },
    grab: ({ y }) => (y < (ROWS.probability + ROWS.odds) / 2 ? "probability" : y < 190 ? "odds" : "log_odds"),
    drag(held, { x, width }) {
      const { probability, logOdds } = scales(width);
      if (held === "probability") {
        return { log_odds: numerics.logit(clamp(Math.round(1000 * probability.invert(x)) / 1000, 0.001, 0.999)) };
      }
      const unit = held === "odds" ? Math.LN10 / 100 : 0.01;
      return { log_odds: within(Math.round(logOdds.invert(x) / unit) * unit) };
    },
  });
}

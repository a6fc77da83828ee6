// Softmax of three logits: what the free constant moves, what it cannot move, and the log-odds of each class.
"use strict";

{
  const { axis, clamp, dot, fixed, line, path, percent, rect, scale, signed, text } = explorable;
  const CLASSES = [0, 1, 2];
  const FIRST = 62; // the row of class 0
  const ROW = 44;

  const diamond = (x, y) => path(`M${x - 6},${y}L${x},${y - 7}L${x + 6},${y}L${x},${y + 7}Z`, "blue solid");
  const ofClasses = (entries) => Object.fromEntries(CLASSES.flatMap(entries));
  const tempered = (state) => CLASSES.map((i) => state[`logit_${i}`] / state.temperature);

  explorable.start({
    state: { logit_0: 2, logit_1: 0, logit_2: -1, constant: 0, temperature: 1 },
    controls: {
      ...ofClasses((i) => [[`logit_${i}`, { label: `Logit z of class ${i}`, range: [-4, 4, 0.1] }]]),
      constant: { label: "Constant c added to all", range: [-9, 9, 0.1] },
      temperature: { label: "Temperature T", range: [0.5, 5, 0.1] },
    },
    buttons: {
      "Make logit 0 its own log-odds": (state) => ({ constant: -numerics.logsumexp(tempered(state).slice(1)) }),
      "All logits equal": () => ofClasses((i) => [[`logit_${i}`, 0]]),
    },
    numbers(state) {
      const raw = tempered(state).map((z) => z + state.constant);
      const [logOdds, probs] = [numerics.classLogOdds(raw), numerics.softmax(raw)];
      return {
        constant: [state.constant, signed(2)],
        temperature: [state.temperature, fixed(1)],
        ...ofClasses((i) => [
          [`logit_${i}`, [state[`logit_${i}`], signed(1)]],
          [`raw_${i}`, [raw[i], signed(2)]],
          [`log_odds_${i}`, [logOdds[i], signed(2)]],
          [`prob_${i}`, [probs[i], percent]],
        ]),
      };
    },
    tables: explorable.table(
      "What the softmax is given, and what it says",
      ["Class", "Logit z\u00a0/\u00a0T\u00a0+\u00a0c", "Log-odds", "Probability"],
      CLASSES.map((i) => [String(i), `raw_${i}`, `log_odds_${i}`, `prob_${i}`]),
    ),
    say: (texts) =>
      CLASSES.map((i) => [texts[`raw_${i}`], texts[`log_odds_${i}`], texts[`prob_${i}`]])
        .map(([raw, logOdds, prob], i) => `Class ${i}: logit ${raw}, log-odds ${logOdds}, probability ${prob}.`).join(" "),

    height: FIRST + 2 * ROW + 60,
    scales(width, { constant, temperature }) {
      const split = 22 + (width - 22) * 0.6;
      const nats = scale([-18, 18], [22, split - 14]);
      const logits = scale(nats.domain.map((raw) => (raw - constant) * temperature), nats.range);
      const share = scale([0, 1], [split, width - 76]); // beside the bars stands "> 99.99%" at most
      return { narrow: width < 460, nats, share, ...ofClasses((i) => [[`logit_${i}`, logits]]) };
    },
    draw({ narrow, nats, share }, values, texts) {
      const [room, bars] = [nats.range, share.range];
      const bottom = FIRST + 2 * ROW + 26;
      return [
        dot(room[0] + 8, 12, "ink hollow", 6),
        text(room[0] + 20, 17, narrow ? "logit" : "logit z / T + c", "", "start"),
        diamond(room[0] + (narrow ? 74 : 132), 12),
        text(room[0] + (narrow ? 86 : 144), 17, "log-odds", "", "start"),
        text(bars[0], 17, "probability", "", "start"),
        line(nats(0), 34, nats(0), bottom, "zero"),
        line(share(0.5), 34, share(0.5), bottom, "zero"),
        ...CLASSES.flatMap((i) => {
          const y = FIRST + i * ROW;
          const [raw, logOdds] = [nats(values[`raw_${i}`]), nats(values[`log_odds_${i}`])];
          return [
            text(8, y + 5, String(i)),
            line(room[0], y, room[1], y, "faint"),
            line(raw, y, logOdds, y, "ink"),
            dot(raw, y, "ink hollow", 10),
            diamond(logOdds, y),
            rect(bars[0], y - 10, bars[1] - bars[0], 20, "empty"),
            rect(bars[0], y - 10, share(values[`prob_${i}`]) - bars[0], 20, "blue bar"),
            text(bars[1] + 6, y + 5, texts[`prob_${i}`], "", "start"),
          ];
        }),
        ...axis(nats, bottom, narrow ? [-10, 0, 10] : [-15, -10, -5, 0, 5, 10, 15]),
        ...axis(share, bottom, [0, 0.5, 1], String),
      ];
    },
    grab: (x, y, { nats }) => x < nats.range[1] + 10 && `logit_${clamp(Math.round((y - FIRST) / ROW), 0, 2)}`,
  });
}

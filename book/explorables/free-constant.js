// Softmax of three logits: what the free constant moves, what it cannot move, and the log-odds of each class.
"use strict";

{
  const { axis, clamp, dot, fixed, line, path, percent, rect, scale, signed, text } = explorable;
  const CLASSES = [0, 1, 2];
  const LIMITS = { logit: 4, constant: 9, shown: 18 };
  const FIRST = 62; // the row of class 0
  const ROW = 44;

  function scales(width) {
    const split = 22 + (width - 22) * 0.6;
    const room = [22, split - 14];
    const bars = [split, width - 76]; // beside them stands "> 99.99 %" at most
    return { room, bars, nats: scale([-LIMITS.shown, LIMITS.shown], room), share: scale([0, 1], bars) };
  }

  const diamond = (x, y) => path(`M${x - 6},${y}L${x},${y - 7}L${x + 6},${y}L${x},${y + 7}Z`, "blue solid");
  const all = (change) => (state) => Object.fromEntries(CLASSES.map((i) => [`logit_${i}`, change(state[`logit_${i}`])]));

  function scaled(state) {
    return CLASSES.map((i) => state[`logit_${i}`] / state.temperature);
  }

  explorable.start({
    state: { logit_0: 2, logit_1: 0, logit_2: -1, constant: 0, temperature: 1 },
    controls: [
      ...CLASSES.map((i) => ({
        name: `logit_${i}`,
        label: `Logit z of class ${i}`,
        min: -LIMITS.logit,
        max: LIMITS.logit,
        step: 0.1,
        text: (values) => signed(1)(values[`logit_${i}`]),
      })),
      {
        name: "constant",
        label: "Constant c added to all",
        min: -LIMITS.constant,
        max: LIMITS.constant,
        step: 0.1,
        output: "constant",
        text: (values) => signed(2)(values.constant),
      },
      {
        name: "temperature",
        label: "Temperature T",
        min: 0.5,
        max: 5,
        step: 0.1,
        text: (values) => fixed(1)(values.temperature),
      },
      {
        name: "meet",
        label: "Make logit 0 its own log-odds",
        press: (state) => ({ constant: -numerics.logsumexp(scaled(state).slice(1)) }),
      },
      { name: "equal", label: "All logits equal", press: all(() => 0) },
    ],
    values(state) {
      const raw = scaled(state).map((z) => z + state.constant);
      const logOdds = numerics.classLogOdds(raw);
      const probs = numerics.softmax(raw);
      const rows = CLASSES.map((i) => [
        [`raw_${i}`, raw[i]],
        [`log_odds_${i}`, logOdds[i]],
        [`prob_${i}`, probs[i]],
      ]);
      return { ...state, ...Object.fromEntries(rows.flat()) };
    },
    readouts: [
      explorable.table(
        "What the softmax is given, and what it says",
        ["Class", "Logit z\u00a0/\u00a0T\u00a0+\u00a0c", "Log-odds", "Probability"],
        CLASSES.map((i) => [String(i), `raw_${i}`, `log_odds_${i}`, `prob_${i}`]),
      ),
    ],
    formats: Object.fromEntries([
      ["constant", signed(2)],
      ...CLASSES.flatMap((i) => [
        [`raw_${i}`, signed(2)],
        [`log_odds_${i}`, signed(2)],
        [`prob_${i}`, percent],
      ]),
    ]),
    say: (values) =>
      CLASSES.map(
        (i) =>
          `Class ${i}: logit ${signed(2)(values[`raw_${i}`])}, log-odds ${signed(2)(values[`log_odds_${i}`])}, ` +
          `probability ${percent(values[`prob_${i}`])}.`,
      ).join(" "),

    height: FIRST + 2 * ROW + 60,
    draw(width, values) {
      const { room, bars, nats, share } = scales(width);
      const bottom = FIRST + 2 * ROW + 26;
      const rows = CLASSES.flatMap((i) => {
        const y = FIRST + i * ROW;
        const [raw, logOdds, prob] = ["raw", "log_odds", "prob"].map((name) => values[`${name}_${i}`]);
        return [
          text(8, y + 5, String(i)),
          line(room[0], y, room[1], y, "faint"),
          line(nats(raw), y, nats(logOdds), y, "ink"),
          dot(nats(raw), y, "ink hollow", 10),
          diamond(nats(logOdds), y),
          rect(bars[0], y - 10, bars[1] - bars[0], 20, "empty"),
          rect(bars[0], y - 10, share(prob) - bars[0], 20, "blue bar"),
          text(bars[1] + 6, y + 5, percent(prob), "", "start"),
        ];
      });
      return [
        dot(room[0] + 8, 12, "ink hollow", 6),
        text(room[0] + 20, 17, width < 460 ? "logit" : "logit z / T + c", "", "start"),
        diamond(room[0] + (width < 460 ? 74 : 132), 12),
        text(room[0] + (width < 460 ? 86 : 144), 17, "log-odds", "", "start"),
        text(bars[0], 17, "probability", "", "start"),
        line(nats(0), 34, nats(0), bottom, "zero"),
        line(share(0.5), 34, share(0.5), bottom, "zero"),
        ...rows,
        ...axis(nats, room, bottom, (width < 460 ? [-10, 0, 10] : [-15, -10, -5, 0, 5, 10, 15]).map((each) => [each])),
        ...axis(share, bars, bottom, [0, 0.5, 1].map((each) => [each, String(each)])),
      ];
    },
    grab({ x, y, width }) {
      const { room } = scales(width);
      const row = clamp(Math.round((y - FIRST) / ROW), 0, 2);
      return x < room[1] + 10 ? row : null;
    },
    drag(row, { x, width }, state) {
      const { nats } = scales(width);
      const logit = (nats.invert(x) - state.constant) * state.temperature;
      return { [`logit_${row}`]: clamp(Math.round(10 * logit) / 10, -LIMITS.logit, LIMITS.logit) };
    },
  });
}

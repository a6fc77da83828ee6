// The loss of one example, given its logits and given their softmax where it wants logits: the second has a floor.
"use strict";

{
  const { axis, curve, dot, fixed, line, scale, short, signed, steps, text } = explorable;
  const COUNTS = [2, 3, 4, 5, 10, 20, 50, 100, 1000];
  const MARGINS = [-5, 15];
  const HEIGHT = 300;

  // The logits are (margin, 0, ..., 0), the right class first. A softmax over such a row is the sigmoid of one log-odds.
  const logOddsOf = (margin, count) => margin - Math.log(count - 1);
  const loss = (margin, count) => numerics.softplus(-logOddsOf(margin, count));
  const slope = (margin, count) => -numerics.expit(-logOddsOf(margin, count));

  // The margin that is left after a softmax: the probability of the right class less that of another one.
  function gap(margin, count) {
    return margin > 0
      ? -Math.expm1(-margin) / (1 + (count - 1) * Math.exp(-margin))
      : Math.expm1(margin) / (Math.expm1(margin) + count);
  }

  function valuesAt(margin, count) {
    const logOdds = logOddsOf(margin, count);
    const left = gap(margin, count);
    const damping = (numerics.expit(logOdds) * numerics.expit(-logOdds) * count) / (count - 1); // d gap / d margin
    return {
      loss: loss(margin, count),
      loss_twice: loss(left, count),
      slope: slope(margin, count),
      slope_twice: slope(left, count) * damping,
      probability: numerics.expit(logOdds),
      floor: loss(1, count),
    };
  }

  function scales(width, count) {
    const room = [36, width - 12];
    const highest = loss(MARGINS[0], count);
    return { room, margins: scale(MARGINS, room), losses: scale([0, highest], [HEIGHT - 48, 22]), highest };
  }

  explorable.start({
    state: { classes: 10, margin: 4 },
    controls: [
      {
        name: "margin",
        label: "Margin of the right class",
        min: MARGINS[0],
        max: MARGINS[1],
        step: 0.1,
        text: (values) => `${signed(1)(values.margin)} nats`,
      },
      {
        name: "classes",
        label: "Classes",
        min: 0,
        max: COUNTS.length - 1,
        step: 1,
        read: (place) => ({ classes: COUNTS[place] }),
        show: (state) => COUNTS.indexOf(state.classes),
        output: "classes",
        text: (values) => `${values.classes} classes`,
      },
    ],
    values: (state) => ({ ...state, ...valuesAt(state.margin, state.classes) }),
    readouts: [
      explorable.table(
        "The same prediction, given to a cross entropy",
        ["", "as logits", "as probabilities"],
        [
          ["Loss (nats)", "loss", "loss_twice"],
          ["Slope along the margin", "slope", "slope_twice"],
        ],
      ),
      explorable.list([
        ["Floor of the doubled softmax", "floor"],
        ["Probability of the right class", "probability"],
      ]),
    ],
    formats: {
      classes: String,
      loss: (value) => (value < 0.001 ? short(value) : fixed(3)(value)),
      loss_twice: fixed(3),
      slope: short,
      slope_twice: short,
      floor: fixed(3),
      probability: fixed(4),
    },
    say: (values) =>
      `${values.classes} classes, margin ${signed(1)(values.margin)} nats: the loss is ${short(values.loss)} given ` +
      `logits and ${fixed(3)(values.loss_twice)} given probabilities, whose floor is ${fixed(3)(values.floor)}.`,

    height: HEIGHT,
    draw(width, values) {
      const { classes: count, margin } = values;
      const { room, margins, losses, highest } = scales(width, count);
      const every = steps(...MARGINS, 160);
      const unit = highest > 8 ? 4 : 2;
      const base = losses(0);
      const floor = losses(values.floor);
      return [
        text(4, 12, "loss (nats)", "title", "start"),
        ...steps(0, Math.floor(highest / unit) * unit, Math.floor(highest / unit)).flatMap((value) => [
          line(room[0], losses(value), room[1], losses(value), "faint"),
          text(room[0] - 8, losses(value) + 4, fixed(0)(value), "tick", "end"),
        ]),
        ...axis(margins, room, base, [-5, 0, 5, 10, 15].map((each) => [each])),
        text((room[0] + room[1]) / 2, HEIGHT - 8, "margin of the right class (nats)", "tick"),
        line(room[0], floor, room[1], floor, "ink dotted"),
        line(margins(margin), 22, margins(margin), base, "zero"),
        curve(every.map((each) => [margins(each), losses(loss(gap(each, count), count))]), "vermillion dashed thick"),
        curve(every.map((each) => [margins(each), losses(loss(each, count))]), "blue thick"),
        text(margins(-3.9) + 8, losses(loss(-4, count)) + 2, "given logits", "halo", "start"),
        text(room[1], floor - 27, "given probabilities:", "halo", "end"),
        text(room[1], floor - 10, `floor ${fixed(2)(values.floor)}`, "halo", "end"),
        dot(margins(margin), losses(values.loss), "blue filled"),
        dot(margins(margin), losses(values.loss_twice), "vermillion filled"),
      ];
    },
    drag(_, { x, width }, state) {
      return { margin: Math.round(10 * scales(width, state.classes).margins.invert(x)) / 10 };
    },
  });
}

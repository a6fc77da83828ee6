// The loss of one example, given its logits and given their softmax where it wants logits: the second has a floor.
"use strict";

{
  const { axis, dot, fixed, graph, grid, line, nats, scale, short, steps, text } = explorable;
  const { expit, softplus } = numerics;
  const COUNTS = [2, 3, 4, 5, 10, 20, 50, 100, 1000];
  const MARGINS = [-5, 15];
  const HEIGHT = 300;

  // The logits are (margin, 0, ..., 0), the right class first. A softmax over such a row is the sigmoid of one log-odds.
  const logOddsOf = (margin, count) => margin - Math.log(count - 1);
  const loss = (margin, count) => softplus(-logOddsOf(margin, count));
  const slope = (margin, count) => -expit(-logOddsOf(margin, count));
  // The margin that is left after a softmax: the probability of the right class minus that of another one.
  const gap = (margin, count) =>
    margin > 0
      ? -Math.expm1(-margin) / (1 + (count - 1) * Math.exp(-margin))
      : Math.expm1(margin) / (Math.expm1(margin) + count);

  explorable.start({
    state: { classes: 10, margin: 4 },
    controls: {
      margin: { label: "Margin of the right class", range: [...MARGINS, 0.1] },
      classes: { label: "Classes", range: [0, COUNTS.length - 1, 1],
        read: (place) => ({ classes: COUNTS[place] }), show: ({ classes }) => COUNTS.indexOf(classes) },
    },
    numbers({ margin, classes }) {
      const logOdds = logOddsOf(margin, classes);
      const left = gap(margin, classes);
      const damping = (expit(logOdds) * expit(-logOdds) * classes) / (classes - 1); // d gap / d margin
      return {
        margin: [margin, nats(1)],
        classes: [classes, String],
        loss: [loss(margin, classes), (value) => (value < 0.001 ? short : fixed(3))(value)],
        loss_twice: [loss(left, classes), fixed(3)],
        slope: [slope(margin, classes), short],
        slope_twice: [slope(left, classes) * damping, short],
        floor: [loss(1, classes), fixed(3), "Floor of the doubled softmax"],
        probability: [expit(logOdds), fixed(4), "Probability of the right class"],
      };
    },
    tables: explorable.table("The same prediction, given to a cross entropy", ["", "as logits", "as probabilities"], [
      ["Loss (nats)", "loss", "loss_twice"],
      ["Slope along the margin", "slope", "slope_twice"],
    ]),
    say: (texts) =>
      `${texts.classes} classes, margin ${texts.margin}: the loss is ${texts.loss} given logits and ` +
      `${texts.loss_twice} given probabilities, whose floor is ${texts.floor}.`,

    height: HEIGHT,
    scales: (width, { classes }) => ({
      margin: scale(MARGINS, [36, width - 12]),
      losses: scale([0, loss(MARGINS[0], classes)], [HEIGHT - 48, 22]),
    }),
    draw({ margin: margins, losses }, { classes, margin, ...values }) {
      const [left, right] = margins.range;
      const highest = losses.domain[1];
      const unit = highest > 8 ? 4 : 2;
      const [base, floor] = [losses(0), losses(values.floor)];
      return [
        text(4, 12, "loss (nats)", "title", "start"),
        ...grid(margins, losses, steps(0, Math.floor(highest / unit) * unit, Math.floor(highest / unit))),
        ...axis(margins, base, [-5, 0, 5, 10, 15]),
        text((left + right) / 2, HEIGHT - 8, "margin of the right class (nats)", "tick"),
        line(left, floor, right, floor, "ink dotted"),
        line(margins(margin), 22, margins(margin), base, "zero"),
        graph(margins, losses, (each) => loss(gap(each, classes), classes), "vermillion dashed thick"),
        graph(margins, losses, (each) => loss(each, classes), "blue thick"),
        text(margins(-3.9) + 8, losses(loss(-4, classes)) + 2, "given logits", "halo", "start"),
        text(right, floor - 27, "given probabilities:", "halo", "end"),
        text(right, floor - 10, `floor ${fixed(2)(values.floor)}`, "halo", "end"),
        dot(margins(margin), losses(values.loss), "blue filled"),
        dot(margins(margin), losses(values.loss_twice), "vermillion filled"),
      ];
    },
  });
}

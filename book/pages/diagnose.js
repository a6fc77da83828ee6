// A loss, and what it could be: logitkit.diagnose in the browser, with the causes that the page brings along.
"use strict";

const diagnosis = {
  tooCommon: 0.3, // a match that so many random numbers have is none

  // The values that are tried, as logitkit.diagnose tries them: of a number of classes, of a sigmoid, and fixed ones.
  ofClasses(classes, weight, smoothings) {
    const twice = Math.log1p((classes - 1) / Math.E);
    const spread = Math.expm1(1) / (Math.E + classes - 1);
    const term = (share) => -share * Math.log(share);
    const smoothed = (share) => term(1 - share + share / classes) + (classes - 1) * term(share / classes);
    return [
      ["chance", Math.log(classes), "level", 1],
      ["double softmax", twice, "floor", 1],
      ["double softmax, always wrong", twice + 1, "ceiling", 3],
      ["triple softmax", Math.log1p((classes - 1) * Math.exp(-spread)), "floor", 4],
      ...smoothings.map((share, i) => ["label smoothing", smoothed(share), "floor", i ? 4 : 1.5]),
      ["clip at 1e-7", -Math.log(1e-7) * (1 - 1 / classes), "level", 1.5],
    ].map(([cause, value, kind, rarer]) => ({ cause, value, kind, classes, weight: weight * rarer }));
  },
  tells(classes, { usual, known, smoothings, fixed, binary }) {
    const counts = classes ? [[classes, 1]] : [...usual.map((each) => [each, 1]), ...known.map((each) => [each, 3])];
    const ofClasses = counts.flatMap(([count, weight]) => diagnosis.ofClasses(count, weight, smoothings));
    return [...ofClasses, ...(!classes || classes === 2 ? binary : []), ...fixed];
  },

  // How far off, at least the rounding; infinite on the side from which a floor or a ceiling can't be met.
  distance(loss, { value, kind }, rounding) {
    const above = loss - value;
    if ((kind === "floor" && above < -rounding) || (kind === "ceiling" && above > rounding)) return Infinity;
    return Math.max(Math.abs(above), rounding);
  },

  // The share of the numbers from half to twice the loss, uniform in their logarithm, that match anything as well.
  coincidence(loss, score, pool) {
    const intervals = pool.map(({ value, kind, weight }) => [
      value - (kind === "floor" ? 0 : score / weight),
      value + (kind === "ceiling" ? 0 : score / weight),
    ]);
    let [covered, reached] = [0, loss / 2];
    for (const [start, end] of intervals.sort(([one], [other]) => one - other)) {
      const [from, to] = [Math.max(start, reached), Math.min(end, loss * 2)];
      if (to <= from) continue;
      covered += Math.log(to / from);
      reached = to;
    }
    return covered / Math.log(4);
  },

  // People round and cut off: a unit of the last decimal that was written, of which Python writes one at least.
  rounding(written, loss) {
    const [, decimals = "", power = "0"] = written.match(/^[-+]?\d*\.?(\d*)(?:e([-+]?\d+))?$/i);
    return Math.max(10 ** (Number(power) - Math.max(decimals.length, 1)), 1e-7 * Math.abs(loss));
  },

  matches(written, classes, facts) {
    const loss = Number(written);
    if (loss <= 0) {
      const below = loss < -1 ? [] : ["probabilities into NLLLoss"];
      const negative = [...below, "logits into NLLLoss", "target outside [0, 1]"];
      return (loss < 0 ? negative : ["one column", "lost digits"]).map((cause) => ({ cause }));
    }
    const pool = diagnosis.tells(classes, facts);
    const rounding = diagnosis.rounding(written, loss);
    const scored = pool
      .map((tell) => ({ ...tell, score: diagnosis.distance(loss, tell, rounding) * tell.weight }))
      .filter(({ score }) => score < Infinity)
      .sort((one, other) => one.score - other.score);
    return [...Map.groupBy(scored, ({ cause }) => cause).values()]
      .map(([best]) => ({ ...best, coincidence: diagnosis.coincidence(loss, best.score, pool) }))
      .filter(({ coincidence }) => coincidence <= diagnosis.tooCommon)
      .slice(0, 5);
  },

  start(form) {
    const facts = JSON.parse(form.querySelector("script").textContent);
    const status = form.querySelector("[role=status]");
    const list = form.querySelector("ol");
    const { loss, classes } = form.elements;

    function entry({ cause, value, classes: count, coincidence }) {
      const { title, confirm, fix, page } = facts.causes[cause];
      const given = count ? ` for ${count.toLocaleString("en")} classes` : "";
      const many = Math.round(1 / Math.max(coincidence, 0.001));
      const match = value && `: ${value.toFixed(4)}${given}. One random number in ${many} matches as well.`;
      const link = element("a", { href: page, textContent: title });
      const test = element("code", { textContent: confirm });
      return element("li", {}, link, `${match ?? ""} It's that if `, test, `. ${fix}`);
    }

    function show() {
      const written = loss.value.trim();
      const count = Number(classes.value);
      list.replaceChildren();
      if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(written)) {
        status.textContent = written && "That's not a number.";
      } else if (classes.value && !(Number.isInteger(count) && count >= 2)) {
        status.textContent = "The number of classes is a whole number of at least 2.";
      } else {
        const found = diagnosis.matches(written, count, facts);
        status.textContent = found.length ? "It could be:" : "Nothing we know of matches better than by accident.";
        list.append(...found.map(entry));
      }
    }
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    show();
  },
};

diagnosis.start(document.querySelector("form.diagnose"));

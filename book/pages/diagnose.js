// A loss, and what it could be: logitkit.diagnose in the browser, with the causes that the page brings along.
"use strict";

const diagnosis = {
  tooCommon: 0.3, // a match that so many random numbers have is none

  entropy: (shares) => -shares.reduce((sum, share) => sum + (share ? share * Math.log(share) : 0), 0),
  doubleSoftmax: (classes) => Math.log1p((classes - 1) / Math.E),
  tripleSoftmax: (classes) => Math.log1p((classes - 1) * Math.exp(-Math.expm1(1) / (Math.E + classes - 1))),
  doubleSigmoid: (rate) => rate * Math.log1p(1 / Math.E) + (1 - rate) * Math.log(2),
  smoothing(amount, classes) {
    const rest = amount / classes;
    return diagnosis.entropy([1 - amount + rest]) + (classes - 1) * diagnosis.entropy([rest]);
  },

  // The values that are tried, as logitkit.diagnose tries them: of a number of classes, of a sigmoid, and fixed ones.
  ofClasses(classes, weight, { smoothings }) {
    const tell = (cause, value, kind, rarer = 1) => ({ cause, value, kind, classes, weight: weight * rarer });
    const twice = diagnosis.doubleSoftmax(classes);
    return [
      tell("chance", Math.log(classes), "level"),
      tell("double softmax", twice, "floor"),
      tell("double softmax, always wrong", twice + 1, "ceiling", 3),
      tell("triple softmax", diagnosis.tripleSoftmax(classes), "floor", 4),
      ...smoothings.map((amount, i) =>
        tell("label smoothing", diagnosis.smoothing(amount, classes), "floor", i ? 4 : 1.5),
      ),
      tell("clip at 1e-7", -Math.log(1e-7) * (1 - 1 / classes), "level", 1.5),
    ];
  },
  tells(classes, facts) {
    const { usual, known, fixed, binary } = facts;
    const ofClasses = classes
      ? diagnosis.ofClasses(classes, 1, facts)
      : [...usual.map((each) => [each, 1]), ...known.map((each) => [each, 3])].flatMap(([each, weight]) =>
          diagnosis.ofClasses(each, weight, facts),
        );
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
    const [low, high] = [loss / 2, loss * 2];
    const intervals = pool
      .map(({ value, kind, weight }) => [
        value - (kind === "floor" ? 0 : score / weight),
        value + (kind === "ceiling" ? 0 : score / weight),
      ])
      .filter(([start, end]) => end > low && start < high)
      .map(([start, end]) => [Math.max(start, low), Math.min(end, high)])
      .sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    let [covered, reached] = [0, low];
    for (const [start, end] of intervals) {
      const from = Math.max(start, reached);
      if (end <= from) continue;
      covered += Math.log(end / from);
      reached = end;
    }
    return covered / Math.log(high / low);
  },

  // People round and cut off: a unit of the last decimal that was written, of which Python writes one at least.
  rounding(written, loss) {
    const [, decimals = "", power = "0"] = written.match(/^[-+]?\d*\.?(\d*)(?:e([-+]?\d+))?$/i);
    return Math.max(10 ** (Number(power) - Math.max(decimals.length, 1)), 1e-7 * Math.abs(loss));
  },

  matches(written, classes, facts) {
    const loss = Number(written);
    if (loss <= 0) {
      const causes = loss === 0 ? ["one column", "lost digits"] : ["logits into NLLLoss", "target outside [0, 1]"];
      if (loss < 0 && loss >= -1) causes.unshift("probabilities into NLLLoss");
      return causes.map((cause) => ({ cause }));
    }
    const pool = diagnosis.tells(classes, facts);
    const rounding = diagnosis.rounding(written, loss);
    const scored = pool
      .map((tell) => ({ ...tell, score: diagnosis.distance(loss, tell, rounding) * tell.weight }))
      .sort((one, other) => (one.score === other.score ? 0 : one.score - other.score));
    const found = new Map();
    for (const tell of scored) {
      if (found.has(tell.cause)) continue;
      const coincidence = Number.isFinite(tell.score) ? diagnosis.coincidence(loss, tell.score, pool) : 1;
      if (coincidence > diagnosis.tooCommon) break;
      found.set(tell.cause, { ...tell, coincidence });
    }
    return [...found.values()].slice(0, 5);
  },

  start(form) {
    const facts = JSON.parse(form.querySelector("script").textContent);
    const status = form.querySelector("[role=status]");
    const list = form.querySelector("ol");
    const { loss, classes } = form.elements;

    function entry({ cause, value, classes: count, coincidence }) {
      const { title, confirm, fix, page } = facts.causes[cause];
      const item = document.createElement("li");
      const link = Object.assign(document.createElement("a"), { href: page, textContent: title });
      const code = Object.assign(document.createElement("code"), { textContent: confirm });
      const given = count ? ` for ${count.toLocaleString("en")} classes` : "";
      item.append(link);
      if (value !== undefined) {
        const many = Math.round(1 / Math.max(coincidence, 0.001));
        item.append(`: ${value.toFixed(4)}${given}. One random number in ${many} matches as well.`);
      }
      item.append(" It's that if ", code, `. ${fix}`);
      return item;
    }

    function show() {
      const written = loss.value.trim();
      const count = classes.value ? Number(classes.value) : null;
      list.replaceChildren();
      if (!written || !/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(written)) {
        status.textContent = written ? "That's not a number." : "";
      } else if (count !== null && !(Number.isInteger(count) && count >= 2)) {
        status.textContent = "The number of classes is a whole number of at least 2.";
      } else {
        const found = diagnosis.matches(written, count, facts);
        status.textContent = found.length ? "It could be:" : "Nothing we know of matches better than by accident.";
        list.append(...found.map(entry));
      }
    }
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    show();
  },
};

document.addEventListener("DOMContentLoaded", () => diagnosis.start(document.querySelector("form.diagnose")));

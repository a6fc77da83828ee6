// The formulas of logitkit, in the same forms and so with the same digits; links.py and simplex.py say why these forms.
"use strict";

const numerics = {
  logit: (p) => (Math.abs(p - 0.5) <= 0.25 ? 2 * Math.atanh(2 * p - 1) : Math.log(p / (1 - p))),
  expit(x) {
    const e = Math.exp(-Math.abs(x));
    const smaller = e / (1 + e);
    return x < 0 ? e - e * smaller : 1 - smaller;
  },
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),

  without: (z, i) => z.filter((_, j) => j !== i),
  // The largest logit, and the sum of exp(z - largest) without its own 1, which would swallow the small ones.
  shift(z) {
    const largest = Math.max(...z);
    const rest = numerics.without(z, z.indexOf(largest)).reduce((sum, each) => sum + Math.exp(each - largest), 0);
    return { largest, rest };
  },
  logsumexp(z) {
    const { largest, rest } = numerics.shift(z);
    return largest + Math.log1p(rest);
  },
  softmax(z) {
    const { largest, rest } = numerics.shift(z);
    return z.map((each) => Math.exp(each - largest) / (1 + rest));
  },
  classLogOdds: (z) => z.map((each, i) => each - numerics.logsumexp(numerics.without(z, i))),

  // How each format rounds a number. Below 2^-14 the numbers of float16 are 2^-24 apart, whatever their size; from
  // 65520 on it has none. Adding 1.5 * 2^52 steps leaves no room for less than a step, so that the processor rounds
  // to a multiple of it, ties to the even one.
  rounding: {
    float16(x) {
      if (Math.abs(x) >= 65520) return Math.sign(x) * Infinity;
      const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), -14);
      const large = 1.5 * 2 ** (52 + exponent - 10);
      return x + large - large;
    },
    float32: Math.fround,
    float64: (x) => x,
  },
};

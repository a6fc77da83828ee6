// Renders formulas. In: JSON [[tex, display], ...] on stdin. Out: JSON [{html, error}, ...] on stdout.
import { readFileSync } from "node:fs";
import katex from "katex";

const render = ([tex, displayMode]) => {
  try {
    return { html: katex.renderToString(tex, { displayMode }) };
  } catch (error) {
    return { html: katex.renderToString(tex, { displayMode, throwOnError: false }), error: error.message };
  }
};
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf-8")).map(render)));

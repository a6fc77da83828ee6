// Renders formulas, one a line. In: JSON [tex, display] on stdin. Out: JSON {html, error} on stdout.
import { createInterface } from "node:readline";
import katex from "katex";

function render([tex, displayMode]) {
  try {
    return { html: katex.renderToString(tex, { displayMode }) };
  } catch (error) {
    return { html: katex.renderToString(tex, { displayMode, throwOnError: false }), error: error.message };
  }
}
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(render(JSON.parse(line)))}\n`);
}

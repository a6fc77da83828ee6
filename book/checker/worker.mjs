// Runs the checker beside the page. It's loaded when the reader presses the button for the first time.
import { loadPyodide } from "./runtime/pyodide.mjs";

async function start() {
  const here = new URL("runtime/", import.meta.url);
  const [python, source] = await Promise.all([
    loadPyodide({ indexURL: here.href }),
    fetch(new URL("logitkit.zip", here)).then((answer) => answer.arrayBuffer()),
  ]);
  python.unpackArchive(source, "zip", { extractDir: "/home/logitkit" });
  python.runPython("import sys; sys.path.insert(0, '/home/logitkit')");
  return python.pyimport("report");
}

const started = start();

addEventListener("message", async ({ data }) => {
  try {
    const report = await started;
    postMessage({ report: JSON.parse(report.report(JSON.stringify(data))) });
  } catch (error) {
    postMessage({ failed: String(error) });
  }
});

// Makes the calls that `runner` writes below this head: one line of JSON for each, in the file named on the command line.
const fs = require("fs");
const path = require("path");

const write = (line) => fs.appendFileSync(process.argv[2], line + "\n");
const number = (v) => (Number.isNaN(v) ? "NaN" : v === Infinity ? "Infinity" : v === -Infinity ? "-Infinity" : String(v));

function numbers(value) {
  if (typeof value.dataSync === "function") return numbers(value.dataSync());
  if (typeof value === "number") return [value];
  return Array.from(value).flatMap(numbers);
}

async function emit(key, call, x, y, onehot) {
  try {
    write(`{"key": ${JSON.stringify(key)}, "value": [${numbers(await call(x, y, onehot)).map(number).join(", ")}]}`);
  } catch (error) {
    const message = String(error.message).split("\n")[0].slice(0, 200);
    write(JSON.stringify({ key, raises: error.name, message }));
  }
}

function versions(...packages) {
  const of = (name) => JSON.parse(fs.readFileSync(path.join(process.env.NODE_PATH, name, "package.json"))).version;
  write(JSON.stringify({ key: "versions", value: Object.fromEntries(packages.map((name) => [name, of(name)])) }));
}


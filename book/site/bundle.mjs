// Makes one small style sheet of many. In: JSON {others, own, pages, scripts} on stdin, the styles of others and the
// book's own. Out: the style sheet on stdout.
import { readFileSync } from "node:fs";
import { PurgeCSS } from "purgecss";
import postcss from "postcss";
import { transform } from "lightningcss";

const { others, own, pages, scripts } = JSON.parse(readFileSync(0, "utf-8"));

// A rule is used if its classes, tags and identifiers occur within a tag of a page, or anywhere in a script. The words
// of the text are not asked: "table" and "card" occur there too.
const words = (text) => text.match(/[\w-]+/g) ?? [];
const inTags = (html) => words((html.match(/<[a-zA-Z][^>]*>/g) ?? []).join(" "));

const purged = await new PurgeCSS().purge({
  css: [{ raw: others }, { raw: own }],
  content: [...pages, ...scripts],
  extractors: [{ extractor: inTags, extensions: ["html"] }],
  defaultExtractor: words,
  fontFace: true,
  keyframes: true,
  variables: true,
  rejected: true,
  // Pages bring styles of their own, which are written with the theme's colours.
  safelist: { standard: [/^data-theme$/], variables: [/^--pst-color-/] },
});

// Of our own rules each has a use. One that is dropped has lost it, or is written so that none can be seen: PurgeCSS
// takes a selector that is nothing but pseudo-classes for unused, whatever stands in their brackets.
const dropped = purged[1].rejected.map((selector) => selector.trim());
if (dropped.length) {
  console.error(`rules of book/theme/static that no page or script uses: ${dropped.join(", ")}`);
  process.exit(1);
}

// Without a script data-theme stays "auto": whatever holds in the dark holds there when the reader's system is dark.
const followTheSystem = (root) => {
  for (const theme of ["light", "dark"]) {
    const chosen = new RegExp(`\\[data-theme=["']?${theme}["']?\\]`, "g");
    root.walkRules(chosen, (rule) => {
      const selectors = rule.selectors.filter((each) => each.match(chosen)).map((each) => each.replace(chosen, "[data-theme=auto]"));
      const media = postcss.atRule({ name: "media", params: `(prefers-color-scheme: ${theme})` });
      media.append(rule.clone({ selectors }));
      rule.after(media);
    });
  }
};

// The icons are drawn in the templates, and of the three formats of a font every browser reads the first.
const fewerFonts = (root) => {
  root.walkAtRules("font-face", (rule) => {
    if (/Font ?Awesome/.test(rule.toString())) rule.remove();
    else rule.walkDecls("src", (src) => { src.value = src.value.split(",")[0]; });
  });
};

const used = purged.map(({ css }) => css).join("\n");
const whole = postcss([followTheSystem, fewerFonts]).process(used, { from: undefined }).css;
const { code } = transform({ filename: "bundle.css", code: Buffer.from(whole), minify: true, errorRecovery: true });
process.stdout.write(code);

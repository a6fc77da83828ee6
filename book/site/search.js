// How the page of search results ranks and describes what Sphinx's search finds; Sphinx puts it into language_data.js.
//
// Sphinx gives every page that has all the words the same score, and leaves numbers out. Here a page also scores by how
// well its title, its best heading or its best index entry fits the query, numbers included, and the result leads there.
// A query of numbers alone finds the pages that have them in these places; one that finds nothing is told what is near.
"use strict";
{
  const asking = ["what", "why", "how", "which", "does", "do", "can", "my", "i"];
  const words = (text) => text.toLowerCase().split(/[\s,;:?!()<>/"“”]+/).map((word) => word.replace(/\.$/, ""))
    .filter((word) => word && !stopwords.includes(word) && !asking.includes(word));
  const query = words(new URLSearchParams(location.search).get("q") ?? "");
  const descriptions = JSON.parse(document.getElementById("descriptions")?.textContent ?? "{}");
  const inWords = (title) => title.replace(/<span.*?<\/span>|<[^>]+>/g, ""); // the span has a chapter's number
  const inHtml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const bare = (phrase) => phrase.trim().replace(/^\((.*)\)$/, "$1"); // the title of an exercise

  // The share of the query that a phrase has, halved if all else in the phrase is beside the point.
  const fit = (phrase) => {
    const there = words(phrase);
    const found = query.filter((asked) => there.some((word) => word.startsWith(asked) || asked === `${word}s`));
    return found.length && (found.length / query.length) * (0.5 + 0.5 * Math.min(1, found.length / there.length));
  };

  // The headings and index entries of each page: { phrase, anchor, fit }, the best first.
  const places = new Map();
  const placesOf = (page) => {
    if (!places.size) {
      const { docnames, alltitles, indexentries } = Search._index;
      for (const [phrase, found] of [...Object.entries(alltitles), ...Object.entries(indexentries)]) {
        for (const [file, id] of found) {
          const place = { phrase, anchor: id ? `#${id}` : "", fit: fit(phrase) };
          places.set(docnames[file], [...(places.get(docnames[file]) ?? []), place]);
        }
      }
      for (const each of places.values()) each.sort((one, other) => other.fit - one.fit);
    }
    return places.get(page) ?? [];
  };

  // A result is [page, title, anchor, description, score, file]; what is set in it is what will be shown. With a
  // description of the page Sphinx does not load the page to quote from it, which files would not let it do.
  Scorer.score = (result) => {
    const [page, title, anchor, description, score] = result;
    if (description !== null) return score; // a function
    const name = title.split(" > ")[0];
    const place = placesOf(page).find((each) => anchor === "" || each.anchor === anchor);
    const leads = place && place.phrase !== inWords(name) && (anchor !== "" || place.fit > 0.4);
    result[1] = leads ? `${name} > ${inHtml(bare(place.phrase))}` : name;
    result[2] = leads ? place.anchor : "";
    result[3] = descriptions[page] ?? "";
    return score + (anchor === "" ? Math.round(80 * (place?.fit ?? 0)) : 0);
  };

  const termsSearch = Search.performTermsSearch;
  Search.performTermsSearch = (wanted, unwanted) => {
    if (wanted.size) return termsSearch(wanted, unwanted);
    const { docnames, titles, filenames } = Search._index;
    return docnames.flatMap((page, file) =>
      placesOf(page)[0]?.fit > 0.4 ? [[page, titles[file], "", null, Scorer.term, filenames[file]]] : []);
  };

  // How many letters must be changed, added or left out to make one word of another.
  const distance = (one, other) => {
    let row = [...Array(other.length + 1).keys()];
    for (const [i, letter] of [...one].entries()) {
      const next = [i + 1];
      for (let j = 0; j < other.length; j++) {
        next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (letter !== other[j])));
      }
      row = next;
    }
    return row.at(-1);
  };

  // The query in the nearest words of the titles and of the index, at most two letters off. No number is near another.
  const nearest = () => {
    const { alltitles, indexentries } = Search._index;
    const known = [...new Set(words([...Object.keys(alltitles), ...Object.keys(indexentries)].join(" ")))];
    return query.filter((asked) => !/\d/.test(asked)).flatMap((asked) => {
      const off = (word) => distance(asked, word);
      const near = known.filter((word) => off(word) < Math.min(3, asked.length / 2));
      return near.sort((one, other) => off(one) - off(other)).slice(0, 1);
    }).join(" ");
  };

  // What was found is said here in place of Sphinx, which speaks of categories, and of pages where it counts places.
  const performSearch = Search._performSearch;
  Search._performSearch = (...parsed) => {
    const results = performSearch(...parsed);
    const said = Search.status;
    Search.status = document.createElement("p"); // where nobody reads it
    if (results.length) {
      said.textContent = results.length === 1 ? "1 result" : `${results.length} results`;
      return results;
    }
    said.replaceWith(document.getElementById("nothing-found").content.cloneNode(true));
    const near = nearest();
    const link = document.querySelector("#near-words a");
    link.textContent = near;
    link.search = new URLSearchParams({ q: near });
    link.parentElement.hidden = !near;
    return results;
  };
}

// The search: ranks the sections of searchIndex by how well they fit the words of the query, and quotes where they do.
"use strict";
{
  const query = new URLSearchParams(location.search).get("q") ?? "";
  const common = /^(a|an|and|are|at|be|by|can|do|does|for|how|i|if|in|is|it|my|of|on|or|that|the|this|to|what|when|which|why|with)$/;
  // British and American spellings are one, and so are one and many.
  const plain = (text) => text.toLowerCase().replace(/(?<=[a-z]{2})is(e[drs]?|es|ing|ations?)\b/g, "iz$1");
  const words = (text) => plain(text).split(/[^\p{L}\p{N}_.+-]+/u).map((word) => word.replace(/^[.+-]+|[.+-]+$/g, "")).filter(Boolean);
  const all = words(query);
  const telling = all.filter((word) => !common.test(word));
  const asked = (telling.length ? telling : all).map((word) => {
    const escaped = word.replace(/(?<=[a-z]{3})s$/, "").replace(/[.+]/g, "\\$&");
    const decimals = word.match(/^\d+\.(\d+)$/)?.[1].length;
    return {
      word,
      // A number is itself, or one that rounds to it; a word may go on, but begins where it is asked to.
      in: decimals
        ? (text) => (text.match(/\d+\.\d+/g) ?? []).filter((number) => (+number).toFixed(decimals) === word).length
        : (text) => text.match(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}${/\d$/.test(word) ? "(?![\\d.]*\\d)" : ""}`, "gu"))?.length ?? 0,
      shown: new RegExp(`(?<![\\p{L}\\p{N}])${decimals ? escaped : escaped.replace(/i[sz]/g, "i[sz]")}[\\p{L}\\p{N}]*`, "giu"),
    };
  });

  const places = searchIndex.flatMap(([address, page, sections]) => sections.map(([name, anchor, text, entries], at) => ({
    address: at ? `${address}#${anchor}` : address,
    page, name, text, top: at === 0,
    head: plain(name), words: plain(text), entries: entries.map(plain), pageHead: plain(page),
  })));
  const found = new Map(asked.map((each) => [each, places.map((place) =>
    8 * Math.min(1, each.in(place.head)) + 6 * Math.max(0, ...place.entries.map((entry) => Math.min(1, each.in(entry)))) +
    2 * Math.min(1, each.in(place.pageHead)) * (each.in(place.words) > 0) + Math.log2(1 + each.in(place.words)))]));
  const rarity = new Map([...found].map(([each, scores]) => [each, Math.log2(1 + places.length / (1 + scores.filter(Boolean).length))]));
  // How much of a name the query is: "log-odds" is all of the term, and little of a long heading.
  const share = (text) => {
    const there = words(text).filter((word) => !common.test(word));
    return there.filter((word) => asked.some((each) => each.in(word))).length / Math.max(1, there.length);
  };
  const results = places.map((place, at) => {
    const met = asked.filter((each) => found.get(each)[at]);
    const sum = met.reduce((total, each) => total + rarity.get(each) * found.get(each)[at], 0);
    const fit = Math.max(share(place.head), ...place.entries.map(share));
    return { ...place, score: sum * (met.length / asked.length) ** 2 * (1 + fit) * (place.top ? 1.2 : 1) };
  }).filter(({ score }) => score > 0).sort((one, other) => other.score - one.score);
  const shown = results.filter(({ score, page }, at) =>
    score > results[0].score / 12 && results.slice(0, at).filter((each) => each.page === page).length < 3).slice(0, 20);

  const marked = (parent, text) => {
    let end = 0;
    const hits = asked.flatMap(({ shown }) => [...text.matchAll(shown)]).sort((one, other) => one.index - other.index);
    for (const { 0: word, index } of hits) {
      if (index < end) continue;
      const mark = document.createElement("mark");
      mark.textContent = word;
      parent.append(text.slice(end, index), mark);
      end = index + word.length;
    }
    parent.append(text.slice(end));
  };
  // The stretch of the text in which most of the words first meet.
  const quote = (text) => {
    const hits = asked.flatMap(({ shown }) => [...text.matchAll(shown)].slice(0, 20).map(({ index }) => index));
    const near = (from) => hits.filter((index) => index >= from && index < from + 160).length;
    const best = hits.sort((one, other) => near(other) - near(one) || one - other)[0] ?? 0;
    const from = best < 60 ? 0 : text.indexOf(" ", best - 60) + 1;
    return `${from ? "… " : ""}${text.slice(from, from + 190).replace(/\s\S*$/, "")} …`;
  };

  // How many letters must be changed, added or left out to make one word of another.
  const distance = (one, other) => {
    let row = [...Array(other.length + 1).keys()];
    for (const [i, letter] of [...one].entries()) {
      const next = [i + 1];
      for (let j = 0; j < other.length; j++) next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (letter !== other[j])));
      row = next;
    }
    return row.at(-1);
  };
  // An unknown word's nearest among headings and index entries, at most two letters off. No number is near another.
  const nearest = ({ word }) => {
    const known = new Set(words(places.flatMap(({ head, entries }) => [head, ...entries]).join(" ")));
    const off = new Map([...known].map((each) => [each, distance(word, each)]));
    return [...known].filter((each) => off.get(each) < Math.min(3, word.length / 2)).sort((one, other) => off.get(one) - off.get(other))[0];
  };

  document.querySelector("article input").value = query;
  if (asked.length) {
    const box = document.getElementById("search-results");
    const count = shown.length === 1 ? "1 result" : shown.length ? `${shown.length} results` : "Nothing has these words.";
    box.querySelector("[role=status]").textContent = count;
    for (const { address, page, name, top, text } of shown) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = address;
      link.textContent = top ? page : `${page} > ${name}`;
      const context = document.createElement("p");
      marked(context, quote(text));
      item.append(link, context);
      box.querySelector("ul").append(item);
    }
    const unknown = asked.filter((each) => !/\d/.test(each.word) && !found.get(each).some(Boolean));
    if (unknown.length || !shown.length) {
      box.append(document.getElementById("nothing-found").content.cloneNode(true));
      const better = asked.map((each) => (unknown.includes(each) ? nearest(each) : each.word)).filter(Boolean).join(" ");
      const link = box.querySelector("#near-words a");
      link.textContent = better;
      link.search = new URLSearchParams({ q: better });
      link.parentElement.hidden = !better || better === asked.map(({ word }) => word).join(" ");
    }
  }
}

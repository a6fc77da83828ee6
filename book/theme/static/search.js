// The search: ranks the sections of searchIndex by how well they fit the words of a query, and quotes where they do.
// It answers as the reader types, in the list of contents and on its own page.
"use strict";
{
  const common = new RegExp(`^(${
    "a|about|actually|after|also|always|am|an|and|any|are|as|at|be|been|before|between|but|by|called|can|could|did|" +
    "difference|do|does|doing|each|ever|every|fix|for|from|get|gets|getting|give|gives|go|goes|going|had|has|have|help|how|" +
    "i|if|in|into|is|it|its|just|like|make|makes|me|mean|meaning|means|my|need|no|not|now|of|on|only|or|other|please|put|" +
    "really|should|so|some|still|such|than|that|the|them|then|there|these|they|this|those|to|too|try|trying|use|used|using|" +
    "versus|very|vs|want|wants|was|way|we|were|what|when|where|which|who|why|will|with|would|yet|you|your"
  })$`);
  // British and American spellings are one, and so are a word's endings: "masks", "masked" and "masking".
  const endings = "(?:e?s|ed|er|ing|e|ions?|ent|ence|y|ies)";
  const plain = (text) => text.toLowerCase().replace(/(?<=[a-z]{2})is(e[drs]?|es|ing|ations?)\b/g, "iz$1");
  const words = (text) => plain(text).split(/[^\p{L}\p{N}_.+-]+/u).map((word) => word.replace(/^[.+-]+|[.+-]+$/g, "")).filter(Boolean);
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  // A common word tells little, and only in a heading: "why is it called a logit" asks for its name, not what it is.
  const weight = (word) => (common.test(word) ? 0.1 : 1);
  const weigh = (words) => sum(words.map(weight));

  const root = document.documentElement.dataset.content_root;
  const places = searchIndex.flatMap(([address, page, sections]) => sections.map(([name, anchor, text, entries], at) => ({
    address: root + (at ? `${address}#${anchor}` : address),
    page, name, text, top: at === 0,
    head: plain(name), words: plain(text), entries: entries.map(plain), pageHead: plain(page),
  })));
  const usualLength = sum(places.map(({ text }) => text.length)) / places.length;

  // How often a text has a word: a number is itself, or one that rounds to it; a word may go on, but then counts for less.
  // A compound is one in each of its spellings: "top_k" and "top-k", "cross entropy" and "crossentropy".
  const asking = (word) => {
    const stem = word.replace(new RegExp(`(?<=^[a-z-]{4,}|^[a-z]{3}(?=s$))(?<!s(?=s$))${endings}$`), "").replace(/[.+]/g, "\\$&")
      .replace(/[-_]|(?<=^[a-z]{3,})(?=[a-z]{3,}$)/g, "[-_ ]?");
    const decimals = word.match(/^\d+\.(\d+)$/)?.[1].length;
    const start = `(?<![\\p{L}\\p{N}])${stem}`;
    const whole = new RegExp(`${start}${endings}?(?![\\p{L}\\p{N}_]|[.-]\\p{L})`, "gu");
    const any = new RegExp(`${start}${/\d$/.test(word) ? "(?![\\d.]*\\d)" : ""}`, "gu");
    const count = (text, pattern) => text.match(pattern)?.length ?? 0;
    return {
      word,
      in: decimals
        ? (text) => (text.match(/\d+\.\d+/g) ?? []).filter((number) => (+number).toFixed(decimals) === word).length
        : (text) => 0.7 * count(text, whole) + 0.3 * count(text, any),
      shown: new RegExp(`${decimals ? start : start.replace(/i[sz]/g, "i[sz]")}[\\p{L}\\p{N}]*`, "giu"),
    };
  };

  // As in BM25, a word that is rare tells more, and one that is often in a text tells little more than one that is in it.
  const weighed = (word) => {
    const each = asking(word);
    const scores = places.map((place) => {
      const often = weight(word) < 1 ? 0 : each.in(place.words);
      return 6 * Math.min(1, each.in(place.head)) + 6 * Math.max(0, ...place.entries.map((entry) => Math.min(1, each.in(entry)))) +
        2 * Math.min(1, each.in(place.pageHead)) * (often > 0) + 3 * often / (often + 0.75 * (1 + place.text.length / usualLength));
    });
    return { ...each, scores, rarity: weight(word) * Math.log2(1 + places.length / (1 + scores.filter(Boolean).length)) };
  };
  // A word that is nowhere is taken for the one it's nearest to, and finds what that would.
  const understood = (word) => {
    const each = weighed(word);
    const unknown = !/\d/.test(word) && weight(word) === 1 && !each.scores.some(Boolean);
    const better = unknown && nearest(word);
    return { ...(better ? weighed(better) : each), unknown, typed: word, better: unknown ? better : word };
  };
  const search = (query) => {
    const asked = [...new Set(words(query))].map(understood);
    // Two words side by side are one that may be written in any of its spellings, as is "ignore index".
    const telling = asked.filter(({ word }) => weight(word) === 1);
    const pairs = telling.slice(1).map(({ word }, at) => weighed(`${telling[at].word}_${word}`));
    const all = weigh(asked.map(({ word }) => word));
    // How much of a name the query is, and of the query the name: "log-odds" is all of the term, and little of a long heading.
    const likeness = (name) => {
      const there = words(name);
      const covered = sum(asked.map((each) => each.rarity * Math.min(1, each.in(name)))) / sum(asked.map(({ rarity }) => rarity));
      return covered * weigh(there.filter((word) => asked.some((each) => each.in(word) === 1))) / weigh(there);
    };
    const total = (given, at) => sum(given.map(({ rarity, scores }) => rarity * scores[at]));
    const results = places.map((place, at) => {
      const met = asked.filter(({ scores }) => scores[at]);
      const share = weigh(met.map(({ word }) => word)) / all;
      const fit = Math.max(...[place.head, ...place.entries].map(likeness));
      // Of two that fit alike, the longer answers more: a section before a term of the glossary, and not a heading without text.
      const length = place.text.length / (place.text.length + 50);
      return { ...place, score: (total(met, at) + total(pairs, at) / 2) * share * (1 + fit) * length };
    }).filter(({ score }) => score > 0).sort((one, other) => other.score - one.score);
    const shown = results.filter(({ score, page }, at) =>
      score > results[0].score / 12 && results.slice(0, at).filter((each) => each.page === page).length < 3).slice(0, 20);
    return { asked, telling, shown };
  };

  // A pattern for every word that is shown; splitting at it leaves the words, as every second part.
  const marked = (text, asked) => {
    const any = new RegExp(`(${asked.map(({ shown }) => shown.source).join("|") || "$^"})`, "giu");
    return text.split(any).map((part, at) => (at % 2 ? element("mark", { textContent: part }) : part));
  };
  // The stretch of the text in which most of the words first meet.
  const quote = (text, asked) => {
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
  const nearest = (word) => {
    const known = new Set(words(places.flatMap(({ head, entries }) => [head, ...entries]).join(" ")));
    const near = [...known].map((each) => ({ each, off: distance(word, each) })).filter(({ off }) => off < Math.min(3, word.length / 3));
    return near.sort((one, other) => one.off - other.off)[0]?.each;
  };

  const answer = (box, query) => {
    const [status, list, more] = box.children;
    const { asked, telling, shown } = search(query);
    const results = shown.length === 1 ? "1 result" : shown.length ? `${shown.length} results` : "Nothing has these words.";
    status.textContent = asked.length ? results : "";
    list.replaceChildren(...shown.map(({ address: href, page, name, top, text }) => {
      const link = element("a", { href, textContent: top ? page : `${page} > ${name}` });
      return element("li", {}, link, element("p", {}, ...marked(quote(text, telling), telling)));
    }));
    more.hidden = !asked.length || (shown.length > 0 && !asked.some(({ unknown }) => unknown));
    const better = asked.map((each) => each.better).filter(Boolean).join(" ");
    const link = more.querySelector("a");
    link.textContent = better;
    link.search = new URLSearchParams({ q: better });
    link.parentElement.hidden = !better || better === asked.map(({ typed }) => typed).join(" ");
  };
  for (const form of document.querySelectorAll("form.search")) {
    const here = form.closest("article");
    const answerTyped = () => answer(form.nextElementSibling, form.q.value);
    if (here) form.q.value = new URLSearchParams(location.search).get("q") ?? "";
    answerTyped();
    form.q.addEventListener("input", () => {
      answerTyped();
      if (here) history.replaceState(null, "", `?${new URLSearchParams({ q: form.q.value })}`);
    });
  }
}

// The search: every word of the query, from its beginning, in titles, headings, text and code, with what stands around it.
(() => {
  const [WIDTH, MOST] = [90, 40];
  const letters = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega".split(" ");
  const greek = new Map([..."αβγδεζηθικλμνξοπρστυφχψω"].flatMap((letter, i) => [[letter, letters[i]], [letters[i], letter]]));
  const field = document.querySelector("form.find input");
  const list = document.getElementById("search-results");
  const count = document.querySelector("p.count");

  // Letters without case and accents; a text keeps its length, so that a place in it is a place in what is shown.
  const fold = (text) => text.replace(/[\u00c0-\u024f\u1e00-\u1eff]/g, (c) => c.normalize("NFD")[0]).replace(/[∗⋆]/g, "*").replace(/’/g, "'").toLowerCase();
  const asWritten = (query) => query.replace(/\\?sqrt\s*[({]?(\w+)[)}]?/g, "√$1");
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&").replace(/_/g, "_?");
  const pattern = (word) => {
    const forms = [word, greek.get(word)].filter(Boolean).map(literal).join("|");
    return new RegExp(/^[\p{L}\p{N}]/u.test(word) ? `(?<![\\p{L}\\p{N}])(?:${forms})` : forms, "gu");
  };
  const words = (query) => [...new Set(asWritten(fold(query.slice(0, 200))).replace(/[\\{}$^]/g, "").split(/\s+/).filter(Boolean))].slice(0, 8);

  const all = window.searchText.flatMap(([page, title, entries]) => entries.map(([id, ...parts]) =>
    ({ address: `${page}.html#${id}`, title, parts, folded: [title, ...parts].map(fold) })));

  // How well an entry answers: title, heading, text, code; a whole word counts more than its beginning.
  const worth = (entry, patterns) => {
    let sum = 0;
    for (const wanted of patterns) {
      let best = 0;
      entry.folded.forEach((text, part) => {
        for (const found of text.matchAll(wanted)) {
          const whole = !/[\p{L}\p{N}]/u.test(text[found.index + found[0].length] ?? "");
          const called = part === 1 && text.length === found[0].length;
          best = Math.max(best, [4, 16, 2, 1][part] * (called ? 3 : whole ? 2 : 1));
          if (whole) break;
        }
      });
      if (!best) return 0;
      sum += best;
    }
    return sum;
  };

  const marked = (text, folded, patterns) => {
    const places = patterns.flatMap((p) => [...folded.matchAll(p)].map((m) => [m.index, m.index + m[0].length])).sort((a, b) => a[0] - b[0]);
    const nodes = [];
    let at = 0;
    for (const [from, to] of places.filter(([from, to]) => to > from)) {
      if (from < at) continue;
      const mark = document.createElement("mark");
      mark.textContent = text.slice(from, to);
      nodes.push(text.slice(at, from), mark);
      at = to;
    }
    return [...nodes, text.slice(at)];
  };
  const excerpt = ({ parts, folded }, patterns) => {
    const part = [2, 3].find((i) => patterns.some((p) => folded[i].search(p) >= 0)) ?? 2;
    const first = Math.min(...patterns.map((p) => folded[part].search(p)).filter((i) => i >= 0));
    const from = Number.isFinite(first) ? Math.max(0, parts[part - 1].lastIndexOf(" ", Math.max(0, first - WIDTH))) : 0;
    const cut = (text) => text.slice(from, from + 3 * WIDTH);
    const line = marked(cut(parts[part - 1]), cut(folded[part]), patterns);
    return [from ? "… " : "", ...line, from + 3 * WIDTH < parts[part - 1].length ? " …" : ""];
  };
  const make = (name, className, ...children) => {
    const element = Object.assign(document.createElement(name), { className });
    element.append(...children);
    return element;
  };

  function show() {
    const patterns = words(field.value).map(pattern);
    const found = !patterns.length ? [] : all.map((entry) => [worth(entry, patterns), entry]).filter(([sum]) => sum).sort((a, b) => b[0] - a[0]);
    list.replaceChildren(...found.slice(0, MOST).map(([, entry]) => {
      const link = make("a", "", ...marked(entry.parts[0], entry.folded[1], patterns));
      link.href = entry.address;
      return make("li", "", link, make("span", "page", entry.title), make("p", "", ...excerpt(entry, patterns)));
    }));
    count.textContent = !patterns.length ? "" : !found.length
      ? "Nothing is found. Try fewer words or the beginning of one; the notation lists all symbols, and the contents all pages."
      : `${found.length} ${found.length === 1 ? "place" : "places"} found` + (found.length > MOST ? `, the best ${MOST} are shown.` : ".");
  }
  field.value = (new URLSearchParams(location.search).get("q") ?? "").slice(0, 200);
  field.addEventListener("input", show);
  show();
})();

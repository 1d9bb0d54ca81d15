// Chapters in JupyterLab as their pages have them: numbers, citations, statements, captions.
// An extension in the form that JupyterLab loads, written by hand: nothing builds it.
(() => {
  // --- numbers as Python writes them, and as print has them ---------------------------------------------------------

  function general(value, digits) {
    const power = Number(value.toExponential(digits - 1).split("e")[1]);
    const fixed = power >= -4 && power < digits;
    const text = fixed ? value.toFixed(digits - 1 - power) : value.toExponential(digits - 1);
    return text.replace(/\.0+(?=e|$)|(\.\d*[1-9])0+(?=e|$)/, "$1");
  }

  function formatted(text, form) {
    const [, comma, digits = 6, kind] = /^(,?)(?:\.(\d+))?([efg%]?)$/.exec(form ?? "") ?? [];
    const value = Number(text);
    if (!form || kind === undefined || Number.isNaN(value)) return text;
    const shown = {
      e: () => value.toExponential(digits),
      f: () => value.toFixed(digits),
      g: () => general(value, Math.max(1, digits)),
      "%": () => `${(100 * value).toFixed(digits)}%`,
    }[kind]?.() ?? text;
    return comma ? shown.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ",")) : shown;
  }

  function printed(text) {
    const [, digits, power] = /^(-?[\d.,]+)(?:e([+-]?\d+))?$/.exec(text) ?? [];
    if (digits === undefined) return text;
    if (power === undefined) return text.replace("-", "−");
    if (Number(digits) === 0) return "0";
    const raised = `10${String(Number(power)).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`;
    return (/^-?1$/.test(digits) ? digits.replace("1", raised) : `${digits} · ${raised}`).replace("-", "−");
  }

  // --- MyST as the Markdown that JupyterLab knows -------------------------------------------------------------------

  const FENCE = /^(\s*)(`{3,}|:{3,})(?:\{([\w:-]+)\})?\s*(.*)$/;
  const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const boxed = (kind, body) => `<div class="press-${kind}">\n\n${body}\n\n</div>`;
  const closed = (line, body) => `<details><summary>${line}</summary>\n\n${body}\n\n</details>`;
  const capital = (word) => word[0].toUpperCase() + word.slice(1);

  // "key: value", or lines below a key: of YAML this is all that directives use.
  function fields(lines) {
    const found = {};
    let name;
    for (const line of lines) {
      const [, key, rest = ""] = /^([\w-]+):(?:\s+(.*))?$/.exec(line) ?? [];
      if (key) found[(name = key)] = rest === "|" ? "" : rest.replace(/^(["'])(.*)\1$/, "$2");
      else if (name) found[name] = `${found[name]}\n${line.trim()}`.trim();
    }
    return found;
  }

  function split(lines) {
    if (lines[0] === "---") {
      const end = lines.indexOf("---", 1);
      return [fields(lines.slice(1, end)), lines.slice(end + 1).join("\n")];
    }
    const options = lines.findIndex((line) => !/^:[\w-]+:/.test(line));
    const first = options < 0 ? lines.length : options;
    return [fields(lines.slice(0, first).map((line) => line.slice(1))), lines.slice(first).join("\n")];
  }

  // The Markdown of a directive, or null where it is none; `book` knows numbers, claims, labels and other files.
  function directive(name, argument, lines, book) {
    const [options, content] = split(lines);
    const inside = () => markdown(content, book);
    const title = roles(argument, book);
    const list = (key, mark) => (options[key] ?? "").split("\n").filter(Boolean)
      .map((line) => `- ${mark} ${roles(line.replace(/^- /, ""), book)}`);
    const said = (key, label) => (options[key] ? [`- **${label}:** ${roles(options[key], book)}`] : []);
    switch (name) {
      case "prf:proof": return closed("Proof", inside());
      case "why": return closed(title || "why?", inside());
      case "admonition": return closed(title, inside());
      case "derivation": return inside();
      case "include": return markdown(book.included(argument), book);
      case "exercise-start": return `**Exercise.** *${title}*`;
      case "exercise-end": case "solution-end": return "";
      case "hypotheses": return boxed("hypotheses", [
        ...list("met", "✓ *met:*"), ...list("not-met", "✗ *not met:*"), ...said("says", "What it says"),
        ...said("sharper", "Sharper here"), ...said("breaks", "What breaks it"),
      ].join("\n"));
      case "predict": return `**Your prediction:** ${title}\n\n` +
        closed("The number", `${book.number(options.answer, ".4g")}. ${roles(options.right, book)}`);
    }
    if (!name.startsWith("prf:")) return null;
    return boxed("statement", `**${capital(name.slice(4))}.** ${title && `*${title}*`}\n\n${inside()}`);
  }

  function markdown(text, book) {
    const lines = text.split("\n"), done = [];
    let prose = [];
    const flush = () => { done.push(roles(prose.join("\n"), book)); prose = []; };
    for (let at = 0; at < lines.length; at += 1) {
      const [, indent, fence, name, argument] = FENCE.exec(lines[at]) ?? [];
      if (!fence) { prose.push(lines[at]); continue; }
      const ends = (line) => new RegExp(`^\\s*${fence[0]}{${fence.length},}\\s*$`).test(line);
      const find = (test) => lines.concat("").findIndex((line, n) => n > at && (test(line) || n === lines.length));
      let end = find(ends);
      const unindented = (line) => (line.startsWith(indent) ? line.slice(indent.length) : line);
      const body = lines.slice(at + 1, end).map(unindented);
      let told = name ? directive(name, argument, body, book) : null;
      if (name === "solution-start") {  // closed, as far as this cell goes
        const last = find((line) => line.includes("{solution-end}"));
        told = closed("Solution", markdown(lines.slice(end + 1, last).join("\n"), book));
        end = last + 1;
      }
      flush();
      if (told === null) done.push(...lines.slice(at, end + 1));
      else done.push("", ...told.split("\n").map((line) => line && indent + line), "");
      at = end;
    }
    flush();
    return done.join("\n");
  }

  function roles(text, book) {
    return text
      .replace(/^\([\w-]+\)=\n?/gm, "")
      .replace(/^(\S.*)\n: (.*)$/gm, "- $1: $2")
      .replace(/\[([^\]]+)\]\(#[\w-]+\)/g, "$1")
      .replace(/\]\(\//g, `](${book.top}`)
      .replace(/\{([\w:]+)\}`([^`]+)`/g, (whole, role, said) => {
        const [, name, form] = /^(?:.*::)?([^:]+)(?::(.*))?$/s.exec(said) ?? [];
        const [, words, label = said] = /^(.*?)\s*<([^>]+)>$/s.exec(said) ?? [];
        const cited = (around) => said.split(",").map((key) => book.cited(key.trim(), around));
        switch (role) {
          case "glue:text": return book.number(name, form);
          case "claim": return form === "verdict" ? "" : book.claim(name, form ?? ".4g");
          case "cite:t": return cited(true).join(", ");
          case "cite": case "cite:p": return `[${cited(false).join("; ")}]`;
          case "prf:ref": return book.label(label, words);
          case "numref": return words ?? "the figure";
          case "term": return words ?? said;
          case "py:class": case "py:func": return `\`${said.replace(/^~.*\./, "")}\``;
        }
        return whole;
      });
  }

  // --- what the book knows ------------------------------------------------------------------------------------------

  // Author and year by key, of a BibTeX file.
  function bibliography(text) {
    const found = {};
    for (const [, key, entry] of text.matchAll(/^@\w+\{([^,\s]+),([^@]*)/gm)) {
      const field = (name) => new RegExp(`^\\s*${name}\\s*=\\s*\\{(.*)\\},?$`, "m").exec(entry)?.[1] ?? "";
      const last = (name) => (name.includes(",") ? name.split(",")[0] : name.split(" ").pop());
      const plain = (name) => name.replace(/\\"\{?(\w)\}?/g, "$1\u0308").replace(/[{}\\]/g, "").normalize();
      const names = field("author").split(" and ").map((name) => plain(last(name)));
      const who = names.length > 2 ? `${names[0]} *et al.*` : names.join(" and ");
      found[key] = (around) => (around ? `${who} [${field("year")}]` : `${who}, ${field("year")}`);
    }
    return found;
  }

  const nothing = () => ({ numbers: {}, claims: {} });

  // What outputs keep: glued numbers, and what claims measured.
  function kept(outputs) {
    const into = nothing();
    for (const { data, metadata } of outputs) {
      const { name, mime_prefix: prefix } = metadata?.scrapbook ?? {};
      const text = name && [data[`${prefix}text/plain`] ?? ""].flat().join("");
      if (name) into.numbers[name] = text.replace(/^'(.*)'$/s, "$1");
      if (metadata?.claim) into.claims[metadata.claim.id] = metadata.claim.measured;
    }
    return into;
  }

  function shelf(contents, root) {
    const get = (path) => contents.get(root + path, { type: "file", format: "text", content: true });
    const text = (path) => get(path).then((file) => file.content, () => "");
    const run = async (name) => {  // as text: of a notebook, jupytext would look for the pair
      const { cells } = JSON.parse((await text(`_build/executed/${name}.ipynb`)) || '{"cells": []}');
      return kept(cells.flatMap((cell) => cell.outputs ?? []));
    };
    const index = async () => {
      const named = /^ *[`:]{3,}\{(?:prf:)?([a-z]+)(?:-start)?\} *(.*)\n *:label: (\S+)/gm;
      const checks = /claims\.(?:check|not_measured)\(\s*"([^"]+)"/g;
      const found = { cited: bibliography(await text("book/references.bib")), labels: {}, checks: {} };
      const pages = [...(await text("_toc.yml")).matchAll(/(?:file|root): book\/(\S+)/g)].map((match) => match[1]);
      await Promise.all(pages.map(async (page) => {
        const written = await text(`book/${page}.md`);
        for (const [, kind, title, label] of written.matchAll(named)) found.labels[label] = { kind, title, page };
        for (const [, id] of written.matchAll(checks)) found.checks[id] = page;
      }));
      return found;
    };
    return { text, run, index };
  }

  // --- a notebook ---------------------------------------------------------------------------------------------------

  function follow(app, { content, context }) {
    const [, root, name] = /^(.*?)book\/(.+)\.md$/.exec(context.path) ?? [];
    if (name === undefined) return;
    const { text, run, index } = shelf(app.serviceManager.contents, root);
    const folder = name.split("/").slice(0, -1);
    const top = "../".repeat(folder.length + 1);
    const included = {}, again = new Map(), captioned = new WeakSet();
    let book = nothing(), here = nothing(), found = { cited: {}, labels: {}, checks: {} };

    function shown(kind, key, form) {
      const own = here[kind][key] !== undefined;
      const value = own ? here[kind][key] : book[kind][key];
      if (value === undefined) return `<em title="${escaped(key)}">not run</em>`;
      if (value === null) return "<em>not measured</em>";
      const title = `${escaped(key)}, ${own ? "from this notebook" : "from the book's own run"}`;
      const number = escaped(printed(formatted(String(value), form)));
      return `<span class="press-${own ? "own" : "kept"}" title="${title}">${number}</span>`;
    }
    const known = {
      top,
      number: (key, form) => shown("numbers", key, form),
      claim: (id, form) => shown("claims", id, form),
      cited: (key, around) => found.cited[key]?.(around) ?? key,
      included: (path) => included[path] ?? "",
      label(label, words) {
        const { kind = label, title, page } = found.labels[label] ?? {};
        const said = words ?? (title ? `${capital(kind)} (${roles(title, known)})` : capital(kind));
        return page && page !== name ? `[${said}](${top}book/${page}.md)` : said;
      },
    };
    function write(source) {
      const asks = context.model.getMetadata("opening")?.asks;
      const question = asks && /^# /.test(source) ? `\n\n<p class="press-asks">${escaped(asks)}</p>\n` : "\n";
      return markdown(source.replace("\n", question), known);
    }

    const { rendermime } = content;
    const base = rendermime.getFactory("text/markdown");
    rendermime.addFactory({
      ...base,
      createRenderer(options) {
        const renderer = base.createRenderer(options);
        const render = renderer.renderModel.bind(renderer);
        const typeset = () => renderer.isAttached || rendermime.latexTypesetter?.typeset(renderer.node);
        let last;
        renderer.renderModel = ({ data, metadata, trusted }) => {
          const draw = (told) => {
            last = told;
            return render({ data: { ...data, "text/markdown": told }, metadata, trusted, setData() {} }).then(typeset);
          };
          const said = () => write(data["text/markdown"] ?? "");
          again.set(renderer, () => { const told = said(); if (told !== last) draw(told); });
          return draw(said());
        };
        return renderer;
      },
    }, 0);

    function caption(cell) {
      const said = cell.model.getMetadata("mystnb")?.figure?.caption;
      if (!said || !cell.model.outputs.length || captioned.has(cell)) return;
      captioned.add(cell);
      const renderer = rendermime.createRenderer("text/markdown");
      renderer.addClass("press-caption");
      cell.node.append(renderer.node);
      renderer.renderModel({ data: { "text/markdown": said }, metadata: {}, trusted: false });
    }

    function look() {
      const cells = content.widgets.filter((cell) => cell.model.type === "code");
      const outputs = ({ model: { outputs: all } }) => Array.from({ length: all.length }, (_, n) => all.get(n));
      here = kept(cells.flatMap(outputs));
      cells.forEach(caption);
      for (const [renderer, draw] of again) renderer.isDisposed ? again.delete(renderer) : draw();
    }
    let timer;
    const soon = () => { clearTimeout(timer); timer = setTimeout(look, 200); };
    context.model.contentChanged.connect(soon);

    context.ready.then(async () => {
      const { cells } = context.model.sharedModel;
      const source = cells.map((cell) => cell.getSource()).join("\n");
      for (const [, path] of source.matchAll(/\{include\} (\S+)/g))
        included[path] = await text(["book", ...folder, path].join("/").replace(/[^/]+\/\.\.\//g, ""));
      found = await index();
      const claims = [...source.matchAll(/\{claim\}`([^:`]+)/g)].map((match) => found.checks[match[1]]);
      const runs = await Promise.all([...new Set(claims.filter((page) => page && page !== name))].map(run));
      const own = cells.some((cell) => cell.cell_type === "code") ? await run(name) : nothing();
      book = { numbers: own.numbers, claims: Object.assign({}, own.claims, ...runs.map((other) => other.claims)) };
      soon();
    });
  }

  // --- JupyterLab's side --------------------------------------------------------------------------------------------

  function activate(app) {
    const { baseUrl, fullLabextensionsUrl } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const own = (name) => `${baseUrl}files/lib/press/site/static/${name}.css`;
    for (const href of [own("tokens"), own("product"), `${fullLabextensionsUrl}/press/static/press.css`])
      document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
    const { body, documentElement } = document;
    const theme = () => { documentElement.dataset.theme = body.dataset.jpThemeLight === "false" ? "dark" : "light"; };
    new MutationObserver(theme).observe(body, { attributeFilter: ["data-jp-theme-light"] });
    theme();
    app.docRegistry.addWidgetExtension("Notebook", { createNew: (panel) => { follow(app, panel); } });
  }

  const plugin = { id: "press:plugin", description: "Chapters as their pages have them.", autoStart: true, activate };
  const tried = { markdown, written: (text, form) => printed(formatted(text, form)) };  // by the tests
  const module = { __esModule: true, default: plugin };
  (window._JUPYTERLAB ??= {}).press = { ...tried, init() {}, get: async () => () => module };
})();

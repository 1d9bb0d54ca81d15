// Chapters in JupyterLab as their pages have them: numbers, claims, citations, statements, captions.
// An extension as JupyterLab loads it, written by hand: there is no build step.
(() => {
  // --- numbers: as Python writes them, and as print has them -----------------------------------------------------

  const bare = (text) => (text.includes(".") ? text.replace(/\.?0+(?=e|$)/, "") : text);
  const commas = (text) => text.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

  function general(value, digits) {
    const power = Number(value.toExponential(digits - 1).split("e")[1]);
    const plain = power >= -4 && power < digits;
    return bare(plain ? value.toFixed(digits - 1 - power) : value.toExponential(digits - 1));
  }

  function formatted(text, form) {
    const [, comma, digits, kind] = /^(,?)(?:\.(\d+))?([efg%]?)$/.exec(form ?? "") ?? [];
    const value = Number(text);
    if (!form || kind === undefined || Number.isNaN(value)) return text;
    const shown = {
      f: () => value.toFixed(digits ?? 6), e: () => value.toExponential(digits ?? 6),
      g: () => general(value, Math.max(1, digits ?? 6)), "%": () => `${(100 * value).toFixed(digits ?? 6)}%`,
    }[kind]?.() ?? text;
    return comma ? commas(shown) : shown;
  }

  function printed(text) {
    const [, digits, power] = /^(-?[\d.,]+)(?:e([+-]?\d+))?%?$/.exec(text) ?? [];
    if (digits === undefined) return text;
    if (power === undefined) return text.replace("-", "−");
    if (Number(digits) === 0) return "0";
    const raised = String(Number(power)).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return (/^-?1$/.test(digits) ? digits.replace("1", `10${raised}`) : `${digits} · 10${raised}`).replace("-", "−");
  }

  // --- MyST as the Markdown that JupyterLab knows -----------------------------------------------------------------

  const STATEMENT = /^prf:(?!proof)(.+)$/;
  const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const boxed = (kind, body) => `<div class="press-${kind}">\n\n${body}\n\n</div>`;
  const opens = (line, body) => `<details><summary>${line}</summary>\n\n${body}\n\n</details>`;
  const capital = (word) => word[0].toUpperCase() + word.slice(1);

  // "key: value", or lines below a key; of YAML this is all that directives use.
  function fields(lines) {
    const found = {};
    let name;
    for (const line of lines) {
      const [, key, rest] = /^([\w-]+):(?:\s+(.*))?$/.exec(line) ?? [];
      if (key) found[(name = key)] = !rest || rest === "|" ? "" : rest.replace(/^(["'])(.*)\1$/, "$2");
      else if (name) found[name] += `\n${line.trim()}`;
    }
    return Object.fromEntries(Object.entries(found).map(([key, text]) => [key, text.trim()]));
  }

  function split(body) {
    const lines = body.split("\n");
    if (lines[0] === "---") {
      const end = lines.indexOf("---", 1);
      return [fields(lines.slice(1, end)), lines.slice(end + 1).join("\n")];
    }
    const first = lines.findIndex((line) => !/^:[\w-]+:/.test(line));
    const options = lines.slice(0, first < 0 ? lines.length : first).map((line) => line.slice(1));
    return [fields(options), first < 0 ? "" : lines.slice(first).join("\n")];
  }

  // `book` answers number(name), claim(id), cited(key), label(name) and included(path).
  function directive(name, argument, body, book) {
    const [options, content] = split(body);
    const inside = () => markdown(content, book);
    const title = argument ? roles(argument, book) : "";
    const kind = STATEMENT.exec(name)?.[1];
    if (kind) return boxed("statement", `**${capital(kind)}.** ${title && `*${title}*`}\n\n${inside()}`);
    const list = (key, mark) => (options[key] ?? "").split("\n").filter(Boolean)
      .map((line) => `- ${mark} ${roles(line.replace(/^- /, ""), book)}`);
    switch (name) {
      case "prf:proof": return opens("Proof", inside());
      case "derivation": return inside();
      case "why": return opens(title || "why?", inside());
      case "exercise-start": return `**Exercise.** *${title}*`;
      case "exercise": return boxed("statement", `**Exercise.** *${title}*\n\n${inside()}`);
      case "exercise-end": case "solution-end": return "";
      case "include": return markdown(book.included(argument), book);
      case "note": case "warning": case "admonition": {
        const line = title || capital(name);
        return options.class?.includes("dropdown") ? opens(line, inside()) : boxed("note", `**${line}**\n\n${inside()}`);
      }
      case "hypotheses": {
        const lines = [...list("met", "✓ *met:*"), ...list("not-met", "✗ *not met:*")];
        for (const [key, label] of [["says", "What it says"], ["sharper", "Sharper here"], ["breaks", "What breaks it"]])
          if (options[key]) lines.push(`- **${label}:** ${roles(options[key], book)}`);
        return boxed("hypotheses", lines.join("\n"));
      }
      case "predict":
        return `**Your prediction:** ${title}\n\n` +
          opens("The number", `${book.number(options.answer, ".4g")}. ${roles(options.right ?? "", book)}`);
      default: return null;
    }
  }

  function markdown(text, book) {
    const lines = text.split("\n");
    const done = [];
    let prose = [];
    const flush = () => { done.push(roles(prose.join("\n"), book)); prose = []; };
    for (let at = 0; at < lines.length; at += 1) {
      const [, indent, fence, name, argument] = /^(\s*)(`{3,}|:{3,}|~{3,})(?:\{([\w:-]+)\})?\s*(.*)$/.exec(lines[at]) ?? [];
      if (!fence) { prose.push(lines[at]); continue; }
      const closes = new RegExp(`^\\s*\\${fence[0]}{${fence.length},}\\s*$`);
      let end = lines.findIndex((line, place) => place > at && closes.test(line));
      if (end < 0) end = lines.length;
      const body = lines.slice(at + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
      let told = name ? directive(name, argument, body.join("\n"), book) : null;
      if (name === "solution-start") {  // closed, as far as this cell goes
        const last = lines.findIndex((line, place) => place > end && line.includes("{solution-end}"));
        told = opens("Solution", markdown(lines.slice(end + 1, last < 0 ? lines.length : last).join("\n"), book));
        end = last < 0 ? lines.length : last + 1;
      }
      flush();
      if (told === null) done.push(lines.slice(at, end + 1).join("\n"));
      else done.push(["", ...told.split("\n"), ""].map((line) => line && indent + line).join("\n"));
      at = end;
    }
    flush();
    return done.join("\n");
  }

  function roles(text, book) {
    const target = (said) => /^(.*?)\s*<([^>]+)>$/s.exec(said)?.slice(1) ?? [null, said];
    return text
      .replace(/^\([\w-]+\)=\n?/gm, "")
      .replace(/^(\S.*)\n: (.*)$/gm, "- $1: $2")
      .replace(/\[([^\]]+)\]\(#[\w-]+\)/g, "$1")
      .replace(/\]\(\//g, `](${book.top ?? "/"}`)
      .replace(/\{([\w:]+)\}`([^`]+)`/g, (whole, role, said) => {
        const [, name, form] = /^(.*?[^:])(?::([^:]*))?$/s.exec(said);
        switch (role) {
          case "glue:text": return book.number(name, form);
          case "claim": return book.claim(name, form ?? ".4g");
          case "cite:t": return said.split(",").map((key) => book.cited(key.trim(), "[]")).join(", ");
          case "cite": case "cite:p": return `[${said.split(",").map((key) => book.cited(key.trim(), "")).join("; ")}]`;
          case "prf:ref": case "ref": case "numref": return book.label(...target(said).reverse());
          case "py:class": case "py:func": return `\`${said.replace(/^~.*\./, "")}\``;
          default: return whole;
        }
      });
  }

  // --- what the book knows ----------------------------------------------------------------------------------------

  // Author and year by key, of a BibTeX file.
  function bibliography(text) {
    const found = {};
    for (const [, key, entry] of text.matchAll(/^@\w+\{([^,\s]+),([^@]*)/gm)) {
      const field = (name) => new RegExp(`^\\s*${name}\\s*=\\s*\\{(.*)\\},?$`, "m").exec(entry)?.[1] ?? "";
      const names = field("author").split(" and ").map((name) => (name.includes(",") ? name.split(",")[0] : name.split(" ").pop()));
      const letters = names.map((name) => name.replace(/\\"\{?(\w)\}?/g, "$1\u0308").replace(/[{}\\]/g, "").normalize());
      const who = letters.length > 2 ? `${letters[0]} *et al.*` : letters.join(" and ");
      found[key] = (around) => (around ? `${who} [${field("year")}]` : `${who}, ${field("year")}`);
    }
    return found;
  }

  // What outputs keep: glued numbers, and what claims measured.
  function kept(outputs, into) {
    for (const { data, metadata } of outputs) {
      const name = metadata?.scrapbook?.name;
      if (name) into.numbers[name] = [].concat(data[`${metadata.scrapbook.mime_prefix}text/plain`] ?? "").join("").replace(/^'(.*)'$/s, "$1");
      if (metadata?.claim) into.claims[metadata.claim.id] = metadata.claim.measured;
    }
    return into;
  }
  const nothing = () => ({ numbers: {}, claims: {} });

  function shelf(contents, root) {
    const once = {};
    const get = (path) => contents.get(root + path, { type: "file", format: "text", content: true });
    const text = (path) => (once[path] ??= get(path).then((file) => file.content, () => ""));
    const run = async (name) => {  // as text: as a notebook, jupytext would look for its pair
      const { cells } = JSON.parse((await text(`_build/executed/${name}.ipynb`)) || '{"cells": []}');
      return kept(cells.flatMap((cell) => cell.outputs ?? []), nothing());
    };
    const index = (async () => {
      const found = { cited: bibliography(await text("book/references.bib")), labels: {}, checks: {} };
      const pages = [...(await text("_toc.yml")).matchAll(/(?:file|root): book\/(\S+)/g)].map((match) => match[1]);
      for (const [place, page] of (await Promise.all(pages.map((name) => text(`book/${name}.md`)))).entries()) {
        const named = /^ *[`:]{3,}\{(?:prf:)?([a-z]+)(?:-start)?\} *(.*)\n *:label: (\S+)/gm;
        for (const [, kind, title, label] of page.matchAll(named)) found.labels[label] = { kind, title, page: pages[place] };
        for (const [, id] of page.matchAll(/claims\.(?:check|not_measured)\(\s*"([^"]+)"/g)) found.checks[id] = pages[place];
      }
      return found;
    })();
    return { text, run, index };
  }

  // --- a notebook -------------------------------------------------------------------------------------------------

  function follow(app, panel) {
    const { content, context } = panel;
    const [, root, name] = /^(.*?)book\/(.+)\.md$/.exec(context.path) ?? [];
    if (name === undefined) return;
    const { text, run, index } = shelf(app.serviceManager.contents, root);
    const folder = name.split("/").slice(0, -1);
    let book = nothing(), here = nothing(), found = { cited: {}, labels: {}, checks: {} }, last = "";
    const included = {};
    const renderers = new Map();
    const captions = new WeakMap();

    const shown = (kind, key, form) => {
      const own = here[kind][key] !== undefined;
      const value = own ? here[kind][key] : book[kind][key];
      if (value === undefined) return `<em title="${escaped(key)}">not run</em>`;
      if (value === null) return "<em>not measured</em>";
      const from = own ? "from this notebook" : "from the book's own run";
      return `<span class="press-${own ? "own" : "kept"}" title="${escaped(key)}, ${from}">${escaped(printed(formatted(String(value), form)))}</span>`;
    };
    const answers = {
      top: "../".repeat(folder.length + 1),
      number: (key, form) => shown("numbers", key, form),
      claim: (id, form) => shown("claims", id, form),
      cited: (key, around) => found.cited[key]?.(around) ?? key,
      label: (label, words) => {
        const { kind, title, page } = found.labels[label] ?? { kind: label };
        const said = words ?? (title ? `${capital(kind)} (${roles(title, answers)})` : capital(kind));
        return page && page !== name ? `[${said}](${answers.top}book/${page}.md)` : said;
      },
      included: (path) => included[path] ?? "",
    };

    const write = (source) => {
      const asks = context.model.getMetadata("opening")?.asks;
      return markdown(asks && /^# /.test(source) ? source.replace("\n", `\n\n<p class="press-asks">${escaped(asks)}</p>\n`) : source, answers);
    };
    const base = content.rendermime.getFactory("text/markdown");
    content.rendermime.addFactory({
      ...base,
      createRenderer: (options) => {
        const renderer = base.createRenderer(options);
        const render = renderer.renderModel.bind(renderer);
        let source, shown;
        const said = () => write(source.data["text/markdown"] ?? "");
        const draw = () => {
          const data = { ...source.data, "text/markdown": (shown = said()) };
          const typeset = () => renderer.isAttached || content.rendermime.latexTypesetter?.typeset(renderer.node);
          return render({ data, metadata: source.metadata, trusted: source.trusted, setData() {} }).then(typeset);
        };
        renderer.renderModel = (model) => {
          source = model;
          renderers.set(renderer, () => { if (said() !== shown) draw(); });
          return draw();
        };
        return renderer;
      },
    }, 0);

    function caption(cell) {
      const said = cell.model.getMetadata("mystnb")?.figure?.caption;
      if (!said || !cell.model.outputs?.length || captions.has(cell)) return;
      const renderer = content.rendermime.createRenderer("text/markdown");
      captions.set(cell, renderer);
      renderer.addClass("press-caption");
      cell.node.append(renderer.node);
      renderer.renderModel({ data: { "text/markdown": said }, metadata: {}, trusted: false });
    }

    function look() {
      const cells = content.widgets.filter((cell) => cell.model?.type === "code");
      here = nothing();
      for (const { model: { outputs } } of cells)
        kept(Array.from({ length: outputs.length }, (_, place) => outputs.get(place)), here);
      cells.forEach(caption);
      const now = JSON.stringify([here, book, Object.keys(found.labels).length, included]);
      if (now === last) return;
      last = now;
      for (const [renderer, again] of renderers) renderer.isDisposed ? renderers.delete(renderer) : again();
    }
    let timer;
    const soon = () => { clearTimeout(timer); timer = setTimeout(look, 200); };
    context.model.contentChanged.connect(soon);

    context.ready.then(async () => {
      const source = Array.from({ length: context.model.cells.length }, (_, place) => context.model.cells.get(place).sharedModel.getSource()).join("\n");
      for (const [, path] of source.matchAll(/\{include\} (\S+)/g))
        included[path] = await text(["book", ...folder, path].join("/").replace(/[^/]+\/\.\.\//g, ""));
      found = await index;
      const asked = [...source.matchAll(/\{claim\}`([^:`]+)/g)].map((match) => found.checks[match[1]]);
      const runs = await Promise.all([name, ...new Set(asked.filter((page) => page && page !== name))].map(run));
      book = { numbers: runs[0].numbers, claims: Object.assign({}, ...runs.map((other) => other.claims)) };
      soon();
    });
  }

  // --- JupyterLab's side ------------------------------------------------------------------------------------------

  function activate(app) {
    const { baseUrl, fullLabextensionsUrl } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    for (const href of [`${baseUrl}files/lib/press/site/static/tokens.css`, `${fullLabextensionsUrl}/press/static/press.css`])
      document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
    const theme = () => {
      document.documentElement.dataset.theme = document.body.dataset.jpThemeLight === "false" ? "dark" : "light";
    };
    new MutationObserver(theme).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
    theme();
    app.docRegistry.addWidgetExtension("Notebook", { createNew: (panel) => { follow(app, panel); } });
  }

  const plugin = { id: "press:plugin", description: "Chapters as their pages have them.", autoStart: true, activate };
  (window._JUPYTERLAB ??= {}).press = {
    written: (text, form) => printed(formatted(text, form)),
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();

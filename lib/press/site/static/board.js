// Rows of claims: found by word, verdict, origin and chapter. The state is in the address (#v=differs&by=paper&q=slope);
// an address without "=" names a row, or a place that has moved.
(() => {
  const rows = [...document.querySelectorAll("details.row")];
  const form = document.querySelector(".finder form");
  if (!rows.length) return;

  const open = (row) => {
    row.open = true;
    row.classList.add("met");
    row.scrollIntoView({ behavior: "instant" });
    row.querySelector("summary").focus({ preventScroll: true });
  };
  const start = (follow) => {
    follow();
    addEventListener("hashchange", follow);
    addEventListener("load", () => { if (document.activeElement === document.body) follow(); }); // the browser's own jump takes the focus
  };
  const read = (hash) => { try { return decodeURIComponent(hash); } catch { return hash; } };
  const address = () => location.hash.slice(1).split("~");
  const closed = new Set();
  addEventListener("beforeprint", () => {
    for (const row of rows) if (!row.open) { closed.add(row); row.open = true; }
  });
  addEventListener("afterprint", () => { closed.forEach((row) => { row.open = false; }); closed.clear(); });

  if (!form) {
    const follow = () => { const row = document.getElementById(read(address()[0])); if (rows.includes(row)) open(row); };
    return start(follow);
  }

  const { q, ch } = form.elements;
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const cells = [...document.querySelectorAll(".strip a")];
  const sections = [...document.querySelectorAll("section.rows")].filter((section) => section.querySelector(".row"));
  const count = document.querySelector(".finder output");
  const greek = Object.fromEntries([..."αβγδεζηθικλμνξοπρστυφχψω"].map((letter, i) => [letter,
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega".split(" ")[i]]));
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").replace(/[−–]/g, "-").toLowerCase()
    .replace(/[α-ω]/g, (letter) => ` ${greek[letter] ?? letter} `);
  const chapters = new Map([...ch.options].map((option) => [option.value, option.text]));
  const texts = new Map(rows.map((row) => [row, plain([row.id, row.dataset.ch && chapters.get(row.dataset.ch),
    ...[...row.querySelectorAll(".short, .say, .found")].map((part) => part.textContent)].join(" "))]));
  const chosen = (name) => boxes.filter((box) => box.name === name && box.checked).map((box) => box.value);
  const clear = () => { q.value = ch.value = ""; for (const box of boxes) box.checked = false; };

  function show(odd) {
    const [v, by, words] = [chosen("v"), chosen("by"), plain(q.value).trim().split(/\s+/)];
    const fits = new Set(rows.filter(({ dataset }) => (!v.length || v.includes(dataset.v))
      && (!by.length || by.includes(dataset.by)) && (!ch.value || ch.value === dataset.ch))
      .filter((row) => words.every((word) => texts.get(row).includes(word))).map((row) => row.id));
    for (const row of rows) row.hidden = !fits.has(row.id);
    for (const cell of cells) cell.classList.toggle("dim", !fits.has(cell.hash.slice(1)));
    for (const section of sections) {
      const left = section.querySelectorAll(".row:not([hidden])").length, told = section.querySelector("h2 .count");
      section.hidden = !left;
      if (told) told.textContent = ` ${left}`;
    }
    const some = fits.size === rows.length ? `All ${rows.length} claims` : `${fits.size} of ${rows.length} claims`;
    const none = "No claim matches: clear a filter, or search for fewer words";
    count.textContent = (fits.size ? some : none) + (odd ? `. The address names “${odd.slice(0, 40)}”, which is not here` : "");
  }
  function write() {
    const state = new URLSearchParams();
    for (const name of ["v", "by"]) if (chosen(name).length) state.set(name, chosen(name).join(","));
    for (const { name, value } of [ch, q]) if (value.trim()) state.set(name, value.trim());
    const mode = address()[1] === undefined ? "" : `~${address()[1]}`;
    const hash = `${state}${mode}`.replaceAll("%2C", ",");
    try { history.replaceState(null, "", hash ? `#${hash}` : location.href.split("#")[0]); } catch { /* too often */ }
  }
  function ask(state) {
    let odd = "";
    clear();
    for (const [name, value] of new URLSearchParams(state)) {
      const known = name === "q" ? value.length <= q.maxLength : name === "ch" && chapters.has(value);
      if (known) form.elements[name].value = value;
      else if (name === "v" || name === "by") {
        for (const one of value.split(",")) {
          const box = boxes.find((box) => box.name === name && box.value === one);
          if (box) box.checked = true; else odd ||= one || name;
        }
      } else odd ||= name === "q" || name === "ch" ? value : name;
    }
    show(odd);
  }
  function follow() {
    const hash = address()[0], target = hash ? document.getElementById(read(hash)) : null;
    if (hash.includes("=")) return ask(hash);
    if (target && target.matches("a.moved")) return location.replace(target.href);
    if (target && !rows.includes(target) && !target.closest("[hidden]")) return show();
    clear();
    show(target ? "" : read(hash));
    if (rows.includes(target)) open(target); else target?.scrollIntoView();
  }
  const visible = () => rows.filter((row) => !row.hidden);
  const changed = () => {
    show();
    write();
    const [top, under] = [visible()[0], form.parentElement].map((part) => part?.getBoundingClientRect());
    if (top && top.top < under.bottom) scrollBy({ top: top.top - under.bottom - 60, behavior: "instant" }); // what is left lies above
  };

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("button").addEventListener("click", () => { clear(); changed(); q.focus(); });
  addEventListener("keydown", (event) => {
    const { key } = event, on = document.activeElement, step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const left = visible(), go = (to) => { event.preventDefault(); to.focus(); };
    if (key === "/" && !on.matches("input:not([type=checkbox]), select, textarea")) { go(q); q.select(); }
    if (on === q && key === "Enter" && left.length) { event.preventDefault(); open(left[0]); }
    if (step && (on === q || on.matches(".row > summary"))) {
      const next = left[left.indexOf(on.parentElement) + step];
      go(next?.querySelector("summary") ?? (step < 0 ? q : on));
    }
    const along = { ArrowRight: 1, ArrowLeft: -1 }[key], next = along && cells.includes(on) && cells[cells.indexOf(on) + along];
    if (next) { on.tabIndex = -1; next.tabIndex = 0; go(next); }
  });
  cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
  form.hidden = false;
  start(follow);
})();

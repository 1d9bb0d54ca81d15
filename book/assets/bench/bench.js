// A bench in a page: its controls, its run, its drawings and its words. A <div class="bench" data-state="t=conv&D=24">
// becomes one; `data-small` leaves out what `data-shows` and `data-controls` do not name, and leads to the whole bench.
// Without this script the page says what is missing.
(() => {
  "use strict";
  const m = dynamics(),
    states = benchStates(m),
    say = benchWords,
    planOf = benchPlans(m, states);
  const connect = benchRuns(dynamics),
    drawings = benchDrawings(m, states, say),
    still = matchMedia("(prefers-reduced-motion: reduce)");
  const WHOLE = new URL("../../book/bench.html", document.currentScript.src).href; // its page, from wherever this one is
  const SECTIONS = ["loss", "words", "readings", "scores", "plane"];

  const KNOBS = {
    D: ["tokens <i>D</i>", 4, 64, 1],
    K: ["read by an output <i>K</i>", 1, 64, 1],
    k: ["slope <i>κ</i> of <i>σ</i>", 0, 1, 0.05],
    e: ["step size <i>η</i>", -2, 0.6, 0.02],
    M: ["outputs <i>M</i>", 1, 8, 1],
    d: ["token size <i>d</i>", 1, 16, 1],
    s: ["draw (seed)", 0, 99, 1],
    r: ["random start, size", 0, 2, 0.1],
  };
  const SWITCHES = { q: "train the attention", x: "scatter the groups", n: "each column sums to 1" };
  const knob = (name) =>
    `<label class="knob" data-knob="${name}"><span>${KNOBS[name][0]}</span><output></output><input type="range" min="${KNOBS[name][1]}" max="${KNOBS[name][2]}" step="${KNOBS[name][3]}"></label>`;
  const check = (name) =>
    `<label class="switch" data-switch="${name}"><input type="checkbox"> ${SWITCHES[name]}</label>`;
  const choice = (group, value, words) =>
    `<label><input type="radio" name="${group}" value="${value}"><span>${words}</span></label>`;
  const MARKUP = (own) => `
<div class="tries" role="group" aria-label="Try this"></div>
<p class="problem" role="alert" hidden></p>
<p class="look" aria-live="polite"></p>
<div class="parts">
<section class="loss" aria-label="The excess loss">
<div class="head"><span><b>Excess loss</b> against τ = T/T*</span><button type="button" data-do="divide" aria-pressed="false" title="Divide the loss by its late law, which becomes the level 1">÷ law</button></div>
<canvas role="img" aria-label="Excess loss"></canvas>
</section>
<section class="words" aria-label="The run in words"><p class="says"></p></section>
<section class="readings" aria-label="Readings"><table><thead><tr><th scope="col">reading</th><th scope="col">the run</th><th scope="col">predicted</th></tr></thead><tbody></tbody></table></section>
<section class="scores" aria-label="The scores"><div class="head"><span><b>Scores <i>S</i></b> a column is an output; outlined: what the teacher reads</span></div>
<canvas class="map" tabindex="0" role="application" aria-roledescription="matrix of scores" aria-label="Scores. Arrow keys move; Enter paints where the teacher is painted."></canvas><canvas class="scale" aria-hidden="true"></canvas>
<fieldset class="brush" hidden><legend>Brush, in units of 1/K</legend>${[
    [1, "1"],
    [3, "2"],
    [2, "−1"],
    [0, "erase"],
  ]
    .map(([code, words]) => choice(`${own}-brush`, code, words))
    .join("")}</fieldset>
<p class="cell" aria-live="polite"></p></section>
<section class="plane" aria-label="Two numbers"><div class="head"><span><b>Two numbers</b> the gap of the scores, the length C₁ of <i>W</i><sub>V</sub></span></div><canvas role="img" aria-label="Two numbers"></canvas></section>
<section class="controls" aria-label="What is trained">
<fieldset class="kinds"><legend>The teacher</legend>${Object.entries(states.KINDS)
    .map(([kind, words]) => choice(`${own}-kind`, kind, words))
    .join("")}</fieldset>
<div class="drawn" hidden><canvas tabindex="0" role="application" aria-roledescription="tokens" aria-label="What the teacher reads"></canvas><p class="spot" aria-live="polite"></p></div>
<div>${["D", "K"].map(knob).join("")}${check("x")}${check("n")}</div>
<div>${["k", "e"].map(knob).join("")}${check("q")}</div>
<label class="knob pace"><span>pace</span><output></output><input type="range" data-do="pace" min="-1" max="0.7" step="0.05" value="-0.25"></label>
<details><summary>Sizes, draw, start</summary>${["M", "d", "s", "r"].map(knob).join("")}</details>
<div class="share"><button type="button" data-do="link">Copy link</button><button type="button" data-do="python">Copy Python</button></div>
</section>
<div class="transport"><button type="button" class="play" data-do="play">▶ Play</button><button type="button" data-do="step" title="One step of gradient descent">+1 step</button><input type="range" data-do="scrub" aria-label="Moment of the run" min="0" max="0" value="0"><button type="button" data-do="restart">Restart</button><span class="speed"></span></div>
</div>
<p class="note">What you change here touches no claim of this book. <a hidden>The whole bench</a></p>
<p class="hidden-words" aria-live="polite"></p>`;

  /** Text with ‹bold› and indices: W_V, η_max, η_KQ. */
  const rich = (node, text) => {
    node.replaceChildren(
      ...text.split(/(_(?:V|max|KQ)|‹[^›]*›)/).map((part) => {
        const kind = /^_/.test(part) && part.length > 1 ? "sub" : part[0] === "‹" ? "b" : null;
        if (!kind) return part;
        const made = document.createElement(kind);
        made.textContent = part.replace(/^[_‹]|›$/g, "");
        return made;
      }),
    );
  };

  const build = (element, own) => {
    const small = "small" in element.dataset,
      named = (name) => (element.dataset[name] ?? "").split(" ").filter(Boolean);
    element.innerHTML = MARKUP(own);
    const one = (selector) => element.querySelector(selector),
      all = (selector) => [...element.querySelectorAll(selector)];
    const button = (name) => one(`[data-do=${name}]`),
      announce = (words) => {
        one(".hidden-words").textContent = words;
      };
    const input = (name) => one(`[data-knob=${name}] input`),
      shows = small ? ["loss", "words", ...named("shows")] : [...SECTIONS, "drawn"];
    const offered = (name) => !small || named("controls").includes(name);
    const drawn = {
      loss: drawings.loss(one(".loss canvas")),
      plane: drawings.plane(one(".plane canvas")),
      scores: drawings.scores(one(".map"), one(".scale")),
      tokens: drawings.tokens(one(".drawn canvas")),
    };

    const scene = {
      plan: null,
      marks: [],
      now: null,
      shown: null,
      half: 0,
      ghost: null,
      divided: false,
      cursor: null,
      edge: null,
      run: 0,
    };
    let state = states.read(element.dataset.state ?? ""),
      events = {},
      stopped = "",
      ended = false;
    let playing = false,
      asked = false,
      view = null,
      target = 0,
      rate = 0,
      brush = 1,
      tried = null,
      seen = "",
      other = null;
    const frames = [];

    // --- the run -----------------------------------------------------------------------------------------------------
    const line = connect((told) => heard(told));
    const restart = (keep = true) => {
      if (keep && scene.marks.length > 40)
        scene.ghost = scene.marks.map((row) => [row.t / scene.plan.T_star, row.excess_loss]);
      scene.plan = planOf(state);
      Object.assign(scene, { marks: [], now: null, shown: null, half: 0, edge: null, run: scene.run + 1 });
      [events, stopped, ended, view, target, rate, seen] = [{}, "", false, null, 0, 0, ""];
      frames.length = 0;
      const { task, eta, eta_KQ, scalars, random } = scene.plan;
      asked = true;
      line.send({
        id: scene.run,
        task: { ...task, eta, eta_KQ },
        scalars: scalars && !random ? { ...scalars, eta_KQ } : null,
        n: 0,
        ms: 10,
      });
      wake();
    };
    const ask = () => {
      if (asked || stopped || !scene.now) return;
      const n = Math.min(Math.floor(target), scene.plan.until) - scene.now.t;
      if (n <= 0) return;
      asked = true;
      line.send({ id: scene.run, n, ms: line.slice() });
    };
    const heard = ({ id, taken, spent, now, marks, stopped: why, refused }) => {
      if (id !== scene.run) return;
      asked = false;
      if (refused) return trouble(`This cannot be run: ${refused}.`);
      const before = scene.marks.length;
      let { peak } = scene.marks.at(-1) ?? { peak: -Infinity };
      for (const row of [...marks, now]) row.peak = peak = Math.max(peak, row.C1);
      scene.marks.push(...marks);
      scene.now = now;
      if (taken > 50) rate = (rate ? 0.9 * rate : 0) + ((rate ? 0.1 : 1) * 1000 * taken) / spent;
      if (why) {
        stopped = why;
        play(false);
      }
      if (now.t >= scene.plan.until) {
        ended = true;
        play(false);
      }
      watch(before);
      if (playing && target > now.t) ask(); // the worker is kept busy between two frames
      wake();
    };
    /** What has happened since the mark `from`, said once. */
    const watch = (from) => {
      const { plan, marks, now } = scene,
        rows = [...marks.slice(Math.max(0, from - 1)), now];
      rows.forEach((row, n) => {
        const last = rows[n - 1];
        if (!events.half && last && last.support_mass < 0.5 && row.support_mass >= 0.5) {
          const share = (0.5 - last.support_mass) / (row.support_mass - last.support_mass);
          events.half = scene.half = (last.t + share * (row.t - last.t)) / plan.T_star;
          announce(
            `Half of the attention arrived at ${say.measured(events.half)} T*${plan.half > 0 ? `, predicted ${say.measured(plan.half)}` : ""}.`,
          );
        }
        if (
          !events.near &&
          plan.law > 0 &&
          !plan.past &&
          row.t > plan.T_star &&
          Math.abs(say.late(plan, row) - 1) < 0.05
        ) {
          events.near = row.t / plan.T_star;
          announce(`The loss is within five per cent of the late law, at ${say.number(events.near)} T*.`);
        }
      });
      const found = tried && !seen && tried.seen(now, plan, events, other);
      if (found) {
        seen = `Seen: ${found}`;
        announce(seen);
        showLook();
      }
    };

    // --- the loop: at constant speed on the log axis, until the machine is the limit --------------------------------
    let looping = false,
      limited = false,
      before = 0,
      spoke = 0,
      stale = true;
    const wake = () => {
      stale = true;
      if (looping) return;
      looping = true;
      before = performance.now();
      requestAnimationFrame(frame);
    };
    /** From a moment in the past the marks are shown again, at the run's own pace; after the last of them it goes on. */
    const replay = (passed) => {
      target = (target + 4) * 10 ** (10 ** Number(button("pace").value) * passed) - 4;
      while (view !== null && scene.marks[view].t < target) view = view + 1 < scene.marks.length ? view + 1 : null;
      stale = true;
    };
    const frame = (at) => {
      const passed = Math.min(0.1, (at - before) / 1000),
        calm = playing && still.matches;
      if (playing) frames.push(at - before);
      before = at;
      if (playing && view !== null) replay(passed);
      else if (playing && scene.now) {
        const { t } = scene.now,
          pace = 10 ** Number(button("pace").value),
          most = t + Math.max(60, 0.12 * (rate || 4000));
        const wanted = (Math.max(target, t) + 4) * 10 ** (pace * passed) - 4;
        limited = wanted > most;
        target = Math.min(wanted, most);
        ask();
      }
      if (stale && (!calm || at - spoke > 600)) {
        stale = false;
        draw();
        if (!playing || at - spoke > (calm ? 600 : 110)) {
          spoke = at;
          speak();
        }
      }
      if (playing && view === null && (stopped || ended)) play(false);
      looping = playing || stale;
      if (looping) requestAnimationFrame(frame);
    };
    const play = (on) => {
      if (on && view === null && (stopped || ended)) restart();
      playing = on;
      if (on) target = view === null ? (scene.now?.t ?? 0) : scene.marks[view].t;
      button("play").textContent = on ? "❚❚ Pause" : "▶ Play";
      spoke = 0;
      wake();
    };
    const draw = () => {
      scene.shown = view === null ? scene.now : (scene.marks[view] ?? scene.now);
      for (const [name, { draw }] of Object.entries(drawn))
        if (one(name === "tokens" ? ".drawn" : `.${name}`).clientWidth) draw(scene);
      button("scrub").max = Math.max(0, scene.marks.length - 1);
      button("scrub").value = view ?? button("scrub").max;
    };

    // --- words -------------------------------------------------------------------------------------------------------
    const speak = () => {
      const { plan, shown } = scene;
      if (!shown) return;
      const { marks } = scene,
        { half } = events;
      const first = marks[0] ?? shown,
        before = marks.findLast((row) => row.t < shown.t / 1.3);
      rich(one(".says"), say.sentence(plan, shown, { first, before, half, stopped: view === null && stopped }));
      const rows = say.readings(plan, shown, half),
        body = one("tbody");
      if (body.children.length !== rows.length)
        body.innerHTML = rows.map(() => "<tr><th scope=row></th><td></td><td></td></tr>").join("");
      rows.forEach((row, n) =>
        row.forEach((words, k) => {
          const cell = body.children[n].children[k];
          if (cell.textContent !== words.replace(/_(V|KQ)/g, "$1")) rich(cell, words);
        }),
      );
      const able = `as fast as this machine can: ${say.whole(Math.round(rate / 100) * 100)} steps a second`;
      one(".speed").textContent = rate && playing && limited ? able : "at constant speed on the log axis";
      const tau = shown.t / plan.T_star,
        law = plan.law > 0 && shown.t ? `, ${say.number(say.late(plan, shown))} times the late law` : "";
      one(".loss canvas").setAttribute(
        "aria-label",
        `Excess loss on log axes. At ${say.number(tau)} T* it is ${say.number(shown.excess_loss)}${law}.`,
      );
      one(".plane canvas").setAttribute("aria-label", `Gap ${say.number(shown.gap)}, C₁ ${say.number(shown.C1)}.`);
      button("scrub").setAttribute("aria-valuetext", `${say.number(tau)} T*, step ${say.whole(shown.t)}`);
      showCell();
    };
    const showCell = () => {
      const { cursor, shown, plan } = scene,
        [j, i] = cursor?.node === undefined && cursor ? cursor : [];
      one(".cell").setAttribute("aria-live", playing ? "off" : "polite");
      one(".cell").textContent =
        j !== undefined && shown
          ? `Output ${i} gives token ${j} the score ${say.number(shown.S[j * plan.D + i], 4)}; the teacher’s is ${say.number(plan.task.S_star[j][i], 4)}.`
          : state.t === "paint"
            ? "Paint on the matrix: the run starts anew. Arrow keys and Enter do the same."
            : "Point at a score, or move with the arrow keys, to read it.";
    };
    const showSpot = () => {
      const node = scene.cursor?.node,
        graph = state.t === "graph",
        from = scene.edge?.from;
      const chosen = graph ? [] : states.tokensOf(state);
      const now =
        node === undefined
          ? ""
          : graph
            ? from === undefined
              ? `Node ${node}. `
              : `From node ${from} to node ${node}. `
            : `Token ${node} is ${chosen.includes(node) ? "read" : "not read"}. `;
      one(".spot").textContent =
        now +
        (graph
          ? "Drag from node to node to join or part them; or arrow keys, Enter, arrow keys, Enter."
          : state.t === "sparse"
            ? "Tap the token that is read."
            : "Tap tokens to choose them.");
    };
    const showLook = () => {
      for (const { button, item } of tries) button.setAttribute("aria-pressed", item === tried);
      rich(one(".look"), tried ? `${tried.look} ${seen && `‹${seen}›`}` : say.opening(scene.plan));
    };

    // --- controls ----------------------------------------------------------------------------------------------------
    const show = () => {
      const { t } = state,
        drawable = ["graph", "tokens", "sparse"].includes(t);
      for (const radio of all(".kinds input")) radio.checked = radio.value === t;
      for (const name of Object.keys(KNOBS)) input(name).value = name === "e" ? Math.log10(state.e) : state[name];
      for (const name of Object.keys(SWITCHES)) one(`[data-switch=${name}] input`).checked = Boolean(state[name]);
      Object.assign(input("K"), { max: state.D, disabled: t === "sparse" });
      input("K").value = state.K;
      input("M").disabled = t === "sparse";
      one(".drawn").hidden = !drawable || !shows.includes("drawn");
      one(".drawn").classList.toggle("graph", t === "graph");
      one("[data-switch=x]").hidden = t !== "conv" || !offered("x");
      one("[data-switch=n]").hidden = one(".brush").hidden = t !== "paint" || small;
      one(".map").classList.toggle("painted", t === "paint");
      const told = {
        ...state,
        K: t === "paint" ? `unit 1/${state.K}` : t === "graph" && state.g ? "as drawn" : state.K,
        M: states.rowsOf(state),
        k: { 0: "0, ReLU", 1: "1, identity" }[state.k] ?? say.number(state.k),
        e: `${say.number(state.e)} η_max`,
        r: state.r ? say.number(state.r) : "zero",
      };
      for (const name of Object.keys(KNOBS)) {
        rich(one(`[data-knob=${name}] output`), String(told[name]));
        input(name).setAttribute("aria-valuetext", String(told[name]).replace("_", " "));
      }
      button("divide").disabled = !(scene.plan.law > 0);
      one(".note a").href = `${WHOLE}#${states.write(state)}`;
      showSpot();
    };
    let saving = 0;
    const save = () => {
      clearTimeout(saving);
      if (!small)
        saving = setTimeout(() => {
          try {
            history.replaceState(history.state, "", `#${states.write(state)}`);
          } catch {
            /* too often */
          }
        }, 350);
    };
    const trouble = (words) => {
      one(".problem").hidden = !words;
      one(".problem").textContent = words;
    };
    const become = (next, item = null) => {
      state = next;
      tried = item;
      scene.cursor = null;
      trouble("");
      restart();
      show();
      showLook();
      save();
    };
    const change = (part) => {
      try {
        become(states.refuseEmpty(states.changed(state, part)));
      } catch (error) {
        trouble(`This cannot be: ${error.message}.`);
        show();
      }
    };
    for (const name of Object.keys(KNOBS))
      input(name).addEventListener("input", () => {
        const value = Number(input(name).value);
        change({ [name]: name === "e" ? Number((10 ** value).toPrecision(2)) : value });
      });
    for (const name of Object.keys(SWITCHES))
      one(`[data-switch=${name}] input`).addEventListener("change", (event) =>
        change({ [name]: Number(event.target.checked) }),
      );
    for (const radio of all(".kinds input")) radio.addEventListener("change", () => change({ t: radio.value }));
    for (const radio of all(".brush input")) {
      radio.checked = Number(radio.value) === brush;
      radio.addEventListener("change", () => {
        brush = Number(radio.value);
      });
    }
    const copy = async (pressed, words) => {
      try {
        await navigator.clipboard.writeText(words);
      } catch {
        // an old browser, or no permission
        const field = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: words }));
        field.select();
        document.execCommand("copy");
        field.remove();
      }
      const said = pressed.textContent;
      pressed.textContent = "Copied";
      announce("Copied.");
      setTimeout(() => {
        pressed.textContent = said;
      }, 1200);
    };
    const python = () =>
      states.python(state, scene.plan.eta, scene.now?.t || 1000, scene.now?.t ? scene.now.excess_loss : undefined);
    const ACTIONS = {
      play: () => play(!playing),
      step: () => {
        play(false);
        if (view !== null) look(view + 1);
        else if (!asked && scene.now && !stopped) {
          asked = true;
          line.send({ id: scene.run, n: 1, ms: 50 });
        }
      },
      restart: () => {
        play(false);
        restart(false);
      },
      divide: (pressed) => {
        scene.divided = !scene.divided;
        pressed.setAttribute("aria-pressed", scene.divided);
        wake();
      },
      link: (pressed) => copy(pressed, `${location.href.split("#")[0]}#${states.write(state)}`),
      python: (pressed) => copy(pressed, python()),
    };
    for (const [name, act] of Object.entries(ACTIONS))
      button(name).addEventListener("click", (event) => act(event.currentTarget));
    const look = (place) => {
      if (playing) play(false);
      view = place >= scene.marks.length - 1 ? null : place;
      spoke = 0;
      wake();
    };
    const setPace = () => {
      one(".pace output").textContent = `${say.number(10 ** Number(button("pace").value), 2)} decades a second`;
    };
    button("pace").addEventListener("input", setPace);
    setPace();
    button("scrub").addEventListener("input", () => look(Number(button("scrub").value)));

    // --- pointers and keys on the drawings -----------------------------------------------------------------------------
    const inside = (event) => {
      const { left, top } = event.currentTarget.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    const pointed = (canvas, { down, move, up, leave = () => {} }) => {
      let held = false;
      canvas.addEventListener("pointerdown", (event) => {
        held = true;
        canvas.setPointerCapture(event.pointerId);
        down(...inside(event));
      });
      canvas.addEventListener("pointermove", (event) => move(...inside(event), held));
      for (const kind of ["pointerup", "pointercancel"])
        canvas.addEventListener(kind, (event) => {
          if (held) up?.(...inside(event), kind === "pointerup");
          held = false;
        });
      canvas.addEventListener("pointerleave", () => {
        if (document.activeElement !== canvas) leave();
      });
    };
    const closest = (left) => {
      const tau = drawn.loss.tau(scene, left),
        apart = scene.marks.map((row) => Math.abs(Math.log(Math.max(row.t, 1e-9) / scene.plan.T_star / tau)));
      return tau > 0 ? apart.indexOf(Math.min(...apart)) : 0;
    };
    pointed(one(".loss canvas"), {
      down: (left) => look(closest(left)),
      move: (left, top, held) => {
        if (held) look(closest(left));
      },
    });

    const point = (cursor) => {
      scene.cursor = cursor;
      showCell();
      showSpot();
      wake();
    };
    const paint = ([j, i]) => {
      if (state.t !== "paint" || small || state.p[j * state.D + i] === brush) return;
      const p = state.p.slice();
      p[j * state.D + i] = brush;
      change({ p });
      point([j, i]);
    };
    const map = one(".map"),
      cell = (left, top) => drawn.scores.cell(scene.plan, left, top);
    const overMap = (left, top, held) => {
      const at = cell(left, top);
      point(at);
      if (held && at) paint(at);
    };
    pointed(map, { down: (left, top) => overMap(left, top, true), move: overMap, leave: () => point(null) });
    const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    map.addEventListener("focus", () => point(scene.cursor ?? [0, 0]));
    map.addEventListener("blur", () => point(null));
    map.addEventListener("keydown", (event) => {
      const step = ARROWS[event.key],
        [j, i] = scene.cursor ?? [0, 0],
        keep = (place) => Math.max(0, Math.min(state.D - 1, place));
      if (step) point([keep(j + step[0]), keep(i + step[1])]);
      else if (event.key === "Enter" || event.key === " ") paint([j, i]);
      else return;
      event.preventDefault();
    });

    const spots = one(".drawn canvas"),
      near = (left, top) => drawn.tokens.near(scene, left, top);
    const toggle = (i, j) => {
      // a token, or the edge between two nodes
      if (state.t !== "graph") {
        const chosen = new Set(state.t === "sparse" ? [] : states.tokensOf(state));
        if (!chosen.delete(i)) chosen.add(i);
        change({ j: Uint8Array.from({ length: state.D }, (_, token) => Number(chosen.has(token))) });
      } else if (j !== undefined && i !== j) {
        const g = new Uint8Array((state.D * (state.D - 1)) / 2),
          place = (a, b) => states.pairPlace(state.D, a, b);
        for (const [a, b] of states.edgesOf(state)) g[place(a, b)] = 1;
        g[place(i, j)] ^= 1;
        change({ g });
      }
    };
    const joins = (i, j) => states.edgesOf(state).some(([a, b]) => (a === i && b === j) || (a === j && b === i));
    pointed(spots, {
      down: (left, top) => {
        const node = near(left, top);
        if (node === null) return;
        if (state.t === "graph") scene.edge = { from: node, to: [left, top], removes: false };
        else toggle(node);
        point({ node });
      },
      move: (left, top, held) => {
        const node = near(left, top);
        if (held && scene.edge)
          Object.assign(scene.edge, { to: [left, top], removes: node !== null && joins(scene.edge.from, node) });
        point(node === null ? null : { node });
      },
      up: (left, top, lifted) => {
        const from = scene.edge?.from,
          node = near(left, top);
        scene.edge = null;
        if (lifted && from !== undefined && node !== null) toggle(from, node);
        wake();
      },
      leave: () => point(null),
    });
    spots.addEventListener("focus", () => point(scene.cursor?.node === undefined ? { node: 0 } : scene.cursor));
    spots.addEventListener("blur", () => {
      scene.edge = null;
      point(null);
    });
    spots.addEventListener("keydown", (event) => {
      const node = scene.cursor?.node ?? 0,
        step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (step) {
        const next = (node + step + state.D) % state.D;
        if (scene.edge) scene.edge.to = drawn.tokens.spot(scene, next);
        point({ node: next });
      } else if (event.key === "Escape" && scene.edge) {
        scene.edge = null;
        point({ node });
      } else if (event.key === "Enter" || event.key === " ") {
        const from = scene.edge?.from;
        if (state.t === "graph" && from === undefined)
          scene.edge = { from: node, to: drawn.tokens.spot(scene, node), removes: false };
        else {
          scene.edge = null;
          toggle(state.t === "graph" ? from : node, node);
        }
        point({ node });
      } else return;
      event.preventDefault();
    });

    // --- try this, the address, the end --------------------------------------------------------------------------------
    const tries = small
      ? []
      : say.TRY.map((item) => {
          const button = document.createElement("button");
          button.type = "button";
          rich(button, item.name);
          button.addEventListener("click", () => {
            become({ ...item.set(states) }, item);
            other = item.beside ? planOf(item.beside()) : null;
            scene.ghost = other?.foreseen
              ? other.foreseen.t.map((t, n) => [t / other.T_star, other.foreseen.excess_loss[n]])
              : null;
            play(true);
          });
          one(".tries").append(button);
          return { button, item };
        });
    /** The state of an address that has one; of a place on the page, or of none, nothing. */
    const follow = (first) => {
      const hash = location.hash.slice(1).replace(/~(code|text)$/, "");
      if (!hash || hash[0] === "~" || document.getElementById(hash)) return;
      clearTimeout(saving); // what the reader wrote is newer
      try {
        const next = states.read(decodeURIComponent(hash));
        planOf(next);
        trouble("");
        if (first || states.write(next) !== states.write(state)) become(next);
      } catch (error) {
        const why = error instanceof URIError ? "it is not written in UTF-8" : error.message;
        trouble(`This address was not used: ${why}. The bench stands as it ${first ? "does by default" : "was"}.`);
      }
    };
    for (const name of SECTIONS) one(`.${name}`).hidden = !shows.includes(name);
    if (small) {
      for (const control of all(".knob, .switch"))
        control.hidden = !offered(control.dataset.knob ?? control.dataset.switch);
      for (const part of [
        ...all(".kinds, .controls details, .tries, .pace, .speed"),
        one("[data-do=link]"),
        one("[data-do=python]"),
        one("[data-do=step]"),
      ])
        part.hidden = true;
      one(".note a").hidden = false;
      one(".parts").append(one(".drawn"));
    }
    const adopt = () => {
      drawings.adopt(element);
      wake();
    };
    adopt();
    restart(false);
    show();
    showLook();
    if (!small) {
      follow(true);
      addEventListener("hashchange", () => follow(false));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", adopt);
    new MutationObserver(adopt).observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme"],
    });
    new ResizeObserver(wake).observe(element);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && playing) play(false);
    });
    element.classList.add("live");
    return {
      get now() {
        const { plan, now, marks } = scene,
          { half, T_star, law, floor, off, eta, eta_max, count } = plan;
        return (
          now && {
            ...now,
            S: undefined,
            rate,
            marks: marks.length,
            seen,
            arrived: events.half,
            near: events.near,
            playing,
            stopped,
            worker: line.inWorker(),
            predicted: { half, T_star, law, floor, off, eta, eta_max, count },
          }
        );
      },
      get state() {
        return states.write(state);
      },
      frames,
      python,
      play,
    };
  };

  const built = [...document.querySelectorAll(".bench")].map((element, n) => build(element, `bench-${n}`));
  if (!built.length) return;
  // For tests and for the curious: the mathematics, with bilinear's names, and the first bench of the page.
  window.bench = {
    population: m.population,
    scalars: m.scalars,
    dynamics: m,
    python: built[0].python,
    frames: built[0].frames,
    play: built[0].play,
    tries: say.TRY.map((item) => item.name),
    get now() {
      return built[0].now;
    },
    get state() {
      return built[0].state;
    },
  };
})();

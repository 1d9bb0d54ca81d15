// The drawings of a bench, each on its own canvas: what holds still (axes, laws, outlines) is drawn once, and kept.
// A scene is { plan, marks, now, shown, half, ghost, divided, cursor, edge }: `shown` is the row under the reader's hand.
const benchDrawings = (m, states, say) => {
  "use strict";
  const COLOURS = {
    page: "--bg",
    ink: "--ink",
    soft: "--muted",
    line: "--rule",
    frame: "--rule2",
    run: "--data",
    teacher: "--series-2",
    ghost: "--rule2",
    bad: "--missed",
    focus: "--link",
  };
  let colours = {},
    lit = null,
    version = 0;

  /** The page's own colours, light or dark; `lit` its map from 0, dark, to 255. */
  const adopt = (element) => {
    const probe = element.appendChild(document.createElement("i"));
    const style = getComputedStyle(probe);
    for (const [name, property] of Object.entries(COLOURS)) {
      probe.style.color = `var(${property})`;
      colours[name] = style.color;
    }
    const stops = (style.getPropertyValue("--lit").match(/#[0-9a-f]{6}/gi) ?? ["#000000", "#ffffff"]).map((hex) =>
      [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
    );
    probe.remove();
    lit = Array.from({ length: 256 }, (_, level) => {
      const at = (level / 255) * (stops.length - 1),
        low = Math.min(Math.floor(at), stops.length - 2);
      return stops[low].map((value, part) => value + (at - low) * (stops[low + 1][part] - value));
    });
    version++;
  };

  /** A canvas, sharp on any screen; `still(key, paint)` is a layer that is painted anew only where its key changes. */
  const surface = (canvas) => {
    let size = "",
      kept = {};
    const pen = canvas.getContext("2d");
    return () => {
      const w = canvas.clientWidth,
        h = canvas.clientHeight,
        dots = Math.min(2, devicePixelRatio || 1);
      if (size !== `${w} ${h} ${dots}`) {
        size = `${w} ${h} ${dots}`;
        kept = {};
        [canvas.width, canvas.height] = [Math.round(w * dots), Math.round(h * dots)];
      }
      pen.setTransform(dots, 0, 0, dots, 0, 0);
      pen.clearRect(0, 0, w, h);
      const still = (key, paint) => {
        if (kept.key !== `${version} ${key}`) {
          const layer = document.createElement("canvas"),
            own = layer.getContext("2d");
          [layer.width, layer.height] = [canvas.width, canvas.height];
          own.setTransform(dots, 0, 0, dots, 0, 0);
          paint(own);
          kept = { key: `${version} ${key}`, layer };
        }
        pen.save();
        pen.setTransform(1, 0, 0, 1, 0, 0);
        pen.drawImage(kept.layer, 0, 0);
        pen.restore();
      };
      return { pen, w, h, still };
    };
  };

  // --- what all of them use --------------------------------------------------------------------------------------
  const letters = (pen, size = 12, weight = 400) => {
    pen.font = `${weight} ${size}px system-ui, "Liberation Sans", sans-serif`;
  };
  const text = (pen, words, x, y, align = "left", colour = colours.soft) => {
    pen.fillStyle = colour;
    pen.textAlign = align;
    pen.fillText(words, x, y);
  };
  /** The same on a patch of the page's colour, so that it can be read over lines. */
  const label = (pen, words, x, y, align, colour) => {
    const wide = pen.measureText(words).width,
      left = align === "right" ? x - wide : align === "center" ? x - wide / 2 : x;
    pen.globalAlpha = 0.85;
    pen.fillStyle = colours.page;
    pen.fillRect(left - 3, y - 13, wide + 6, 18);
    pen.globalAlpha = 1;
    text(pen, words, x, y, align, colour);
  };
  const stroke = (pen, points, colour, width = 1, dashes = []) => {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.setLineDash(dashes);
    pen.beginPath();
    points.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.setLineDash([]);
  };
  const dot = (pen, x, y, size, colour, rim = colours.page) => {
    pen.beginPath();
    pen.arc(x, y, size, 0, 7);
    pen.fillStyle = colour;
    pen.fill();
    pen.strokeStyle = rim;
    pen.lineWidth = 2;
    pen.stroke();
  };
  const power = (n) => (n === 0 ? "1" : n === 1 ? "10" : `10${say.raised(n)}`);
  const between = (value, [low, high]) => (value - low) / (high - low);
  const within = (pen, box, grow, paint) => {
    pen.save();
    pen.beginPath();
    pen.rect(box.left - grow, box.top - grow, box.right - box.left + 2 * grow, box.foot - box.top + 2 * grow);
    pen.clip();
    paint();
    pen.restore();
  };
  const frame = (pen, box) =>
    stroke(
      pen,
      [
        [box.left, box.top],
        [box.left, box.foot],
        [box.right, box.foot],
      ],
      colours.frame,
    );

  // --- the loss -----------------------------------------------------------------------------------------------------
  /** Where a step and a loss stand; `divided`: by the late law, so that the law is the level 1. */
  const lossPlaces = ({ plan, divided }, w, h) => {
    const box = { left: 44, right: w - 12, top: 10, foot: h - 38 },
      shared = divided && plan.law > 0;
    const [times, losses] = [plan.axes.tau.map(Math.log), (shared ? [0.02, 30] : plan.axes.loss).map(Math.log)];
    const x = (tau) => box.left + between(Math.log(Math.max(tau, 1e-9)), times) * (box.right - box.left);
    const level = (value) => box.foot - between(Math.log(Math.max(value, 1e-300)), losses) * (box.foot - box.top);
    return { box, shared, x, times, losses, level, y: (loss, t) => level(shared ? (loss * t) / plan.law : loss) };
  };
  const drawLoss = (canvas) => {
    const prepared = surface(canvas);
    const draw = (scene) => {
      const { plan, marks, now, shown, half, ghost } = scene,
        { pen, w, h, still } = prepared();
      const places = lossPlaces(scene, w, h),
        { box, shared, x, y, level, losses } = places;
      const at = (t) => x(t / plan.T_star);
      still(`${scene.run} ${shared} ${ghost?.length}`, (pen) => {
        letters(pen);
        for (let n = Math.ceil(Math.log10(plan.axes.tau[0])); n <= 2; n++) {
          stroke(
            pen,
            [
              [x(10 ** n), box.top],
              [x(10 ** n), box.foot],
            ],
            colours.line,
          );
          text(pen, power(n), x(10 ** n), box.foot + 16, "center");
        }
        for (let n = Math.ceil(losses[0] / Math.LN10); n <= Math.floor(losses[1] / Math.LN10); n++) {
          stroke(
            pen,
            [
              [box.left, level(10 ** n)],
              [box.right, level(10 ** n)],
            ],
            colours.line,
          );
          text(pen, power(n), box.left - 6, level(10 ** n) + 4, "right");
        }
        text(pen, `τ = T/T*,  T* = ${say.whole(plan.T_star)} steps`, box.right, box.foot + 33, "right");
        frame(pen, box);
        within(pen, box, 0, () => {
          if (plan.foreseen)
            stroke(
              pen,
              plan.foreseen.t.map((t, n) => [at(t), y(plan.foreseen.excess_loss[n], t)]),
              `color-mix(in srgb, ${colours.run} 38%, ${colours.page})`,
              7,
            );
          if (ghost && !shared)
            stroke(
              pen,
              ghost.filter(([tau]) => tau > 0).map(([tau, loss]) => [x(tau), y(loss, 1)]),
              colours.ghost,
              1.5,
            );
          letters(pen, 12.5);
          if (plan.law > 0) drawLaw(pen, plan, places, at);
          if (plan.floor > 0 && !shared) {
            stroke(
              pen,
              [
                [box.left, level(plan.floor)],
                [box.right, level(plan.floor)],
              ],
              colours.ink,
              1.6,
              [2, 4],
            );
            label(
              pen,
              `${plan.frozen ? "frozen attention stops here" : "no softmax does better"}: ${say.measured(plan.floor)}`,
              box.left + 10,
              level(plan.floor) + 18,
              "left",
              colours.ink,
            );
          }
        });
      });
      if (!now) return;
      within(pen, box, 5, () => {
        const rows = marks.filter((row) => row.t > 0).concat(now.t > (marks.at(-1)?.t ?? 0) ? now : []);
        pen.fillStyle = colours.run; // where the loss swings between two marks: a band
        pen.globalAlpha = 0.28;
        rows.forEach((row, n) => {
          if (!n || !(row.greatest > 1.02 * row.least) || !(plan.past || row.greatest > 1.02 * rows[n - 1].excess_loss))
            return;
          const left = at(rows[n - 1].t),
            top = y(row.greatest, row.t);
          pen.fillRect(left, top, Math.max(1, at(row.t) - left), y(row.least, row.t) - top);
        });
        pen.globalAlpha = 1;
        stroke(
          pen,
          rows.map((row) => [at(row.t), y(plan.past ? row.least : row.excess_loss, row.t)]),
          colours.run,
          2.2,
        );
        if (!shared) dot(pen, box.left, y(marks[0]?.excess_loss ?? plan.first, 1), 4, colours.page, colours.run); // step 0 is left of every log axis
        letters(pen);
        if (plan.half > 0) {
          stroke(
            pen,
            [
              [x(plan.half), box.foot],
              [x(plan.half), box.foot - 46],
            ],
            colours.teacher,
            1.4,
            [2, 3],
          );
          const words = "half of the attention, predicted",
            room = pen.measureText(words).width < x(plan.half) - box.left - 12;
          text(pen, room ? words : "half, predicted", x(plan.half) - 6, box.foot - 34, "right", colours.teacher);
        }
        if (half) {
          pen.fillStyle = colours.teacher;
          pen.beginPath();
          [
            [0, -12],
            [-6, 0],
            [6, 0],
          ].forEach(([dx, dy]) => pen.lineTo(x(half) + dx, box.foot + dy));
          pen.fill();
        }
      });
      drawHand(pen, scene, places, at);
    };
    return {
      draw,
      tau: (scene, left) => {
        const { box, times } = lossPlaces(scene, canvas.clientWidth, canvas.clientHeight);
        return left < box.left
          ? 0
          : Math.exp(times[0] + ((left - box.left) / (box.right - box.left)) * (times[1] - times[0]));
      },
    };
  };
  /** The late law, dashed, and its next order, dotted where it is small enough to be one. */
  const drawLaw = (pen, plan, { box, shared, x, y, level, losses }, at) => {
    const ends = plan.axes.tau.map((tau) => tau * plan.T_star);
    stroke(
      pen,
      ends.map((t) => [at(t), y(plan.law / t, t)]),
      colours.ink,
      1.6,
      [7, 5],
    );
    const words = plan.uniform ? "late law  K D (D − K)/(4ηT)" : "late law  Σ Kᵢ(D − Kᵢ)/(4ηT)",
      wide = pen.measureText(words).width;
    if (shared) text(pen, "1 = late law", box.left + 10, level(1) - 8, "left", colours.ink);
    else {
      // above the line, from where the line is 22 below the top
      const low = Math.exp(losses[1] - (22 / (box.foot - box.top)) * (losses[1] - losses[0])),
        left = x(plan.law / low / plan.T_star) + 8;
      label(pen, words, Math.max(box.left + 8, Math.min(left, box.right - wide)), box.top + 13, "left", colours.ink);
    }
    if (!plan.next) return;
    const rows = Array.from({ length: 80 }, (_, n) => ends[1] * 10 ** (-n / 26))
      .filter((t) => t >= 1)
      .map((t) => [t, plan.next(t)])
      .filter(([, next]) => Math.abs(next) < 0.6);
    if (rows.length < 2) return;
    stroke(
      pen,
      rows.map(([t, next]) => [at(t), y((plan.law / t) * (1 + next), t)]),
      colours.ink,
      1.6,
      [1.5, 3],
    );
    const [t, next] = rows.at(-1);
    label(pen, "its next order", at(t) + 4, y((plan.law / t) * (1 + next), t) - 9, "left", colours.ink);
  };
  /** The dot under the reader's hand, what it is, and how far the law is. */
  const drawHand = (pen, { plan, shown, marks }, { box, shared, y }, at) => {
    if (!shown) return;
    const left = shown.t ? at(shown.t) : box.left,
      top = y(shown.excess_loss, Math.max(shown.t, 1));
    const late = plan.law > 0 && shown.t > 0.5 * plan.T_star;
    if (late && !shared)
      stroke(
        pen,
        [
          [left, top],
          [left, y(plan.law / shown.t, shown.t)],
        ],
        colours.ink,
      );
    const foot = Math.min(Math.max(top, box.top), box.foot);
    dot(pen, left, foot, 6, colours.run);
    if (!shown.t) return;
    letters(pen, 13, 600);
    const words = `${say.measured(shown.excess_loss)}${late ? `  =  ${say.measured(say.late(plan, shown))} × law` : ""}`;
    const wide = pen.measureText(words).width,
      right = left - 14 - wide > box.left;
    const low = foot + 22 < box.foot - 4 && !(plan.floor > 0 && !shared);
    label(pen, words, right ? left - 12 : left + 14, foot + (low ? 22 : -14), right ? "right" : "left", colours.ink);
  };

  // --- the scores -----------------------------------------------------------------------------------------------------
  const MARGIN = 4;
  const drawScores = (canvas, scale) => {
    const prepared = surface(canvas),
      scaled = surface(scale),
      small = document.createElement("canvas");
    const unit = (plan) => (canvas.clientWidth - 2 * MARGIN) / plan.D;
    const draw = ({ plan, shown, cursor, run }) => {
      if (!shown) return;
      const { D, task } = plan,
        { pen, still } = prepared(),
        u = unit(plan),
        corner = (n) => MARGIN + n * u;
      const top = Math.max(1 / D, ...task.S_star.map((row) => Math.max(...row)));
      if (small.width !== D) small.width = small.height = D;
      const own = small.getContext("2d"),
        image = own.createImageData(D, D);
      shown.S.forEach((score, p) =>
        image.data.set([...lit[Math.min(255, Math.max(0, Math.round((255 * score) / top)))], 255], 4 * p),
      );
      own.putImageData(image, 0, 0);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(small, MARGIN, MARGIN, D * u, D * u);
      still(`${run}`, (pen) => {
        const read = (j, i) => j >= 0 && i >= 0 && j < D && i < D && task.S_star[j][i] !== 0,
          sides = [];
        for (let j = 0; j <= D; j++)
          for (let i = 0; i <= D; i++) {
            if (i < D && read(j, i) !== read(j - 1, i)) sides.push([corner(i), corner(j), corner(i + 1), corner(j)]);
            if (j < D && read(j, i) !== read(j, i - 1)) sides.push([corner(i), corner(j), corner(i), corner(j + 1)]);
          }
        pen.lineCap = "square";
        for (const [colour, width] of [
          ["#000", 3.2],
          ["#7cb4ff", 1.6],
        ]) {
          // dark under light: seen on every level
          pen.strokeStyle = colour;
          pen.lineWidth = width;
          pen.beginPath();
          for (const [x1, y1, x2, y2] of sides) {
            pen.moveTo(x1, y1);
            pen.lineTo(x2, y2);
          }
          pen.stroke();
        }
        letters(pen, Math.max(9, 0.9 * u), 700);
        task.S_star.forEach((row, j) =>
          row.forEach((entry, i) => {
            if (entry < 0) text(pen, "−", corner(i + 0.5), corner(j + 0.8), "center", "#fff");
          }),
        );
      });
      if (cursor) {
        pen.strokeStyle = "#fff";
        pen.lineWidth = 2;
        pen.strokeRect(corner(cursor[1]), corner(cursor[0]), u, u);
        pen.lineWidth = 1;
        pen.globalAlpha = 0.6;
        pen.strokeRect(corner(cursor[1]), MARGIN, u, D * u);
        pen.globalAlpha = 1;
      }
      const bar = scaled();
      bar.still(`${run}`, (pen) => {
        const wide = bar.w - 2 * MARGIN;
        for (let n = 0; n < wide; n++) {
          pen.fillStyle = `rgb(${lit[Math.round((255 * n) / wide)]})`;
          pen.fillRect(MARGIN + n, 0, 1.5, 8);
        }
        letters(pen);
        text(pen, "0", MARGIN, 22);
        text(pen, plan.uniform ? `1/K = ${say.number(1 / plan.K)}` : say.number(top), bar.w - MARGIN, 22, "right");
        const mean = MARGIN + wide / D / top;
        if (mean < bar.w - 90 && mean > 30) text(pen, "1/D", mean, 22, "center");
      });
    };
    const cell = (plan, left, top) => {
      const [j, i] = [top, left].map((place) => Math.floor((place - MARGIN) / unit(plan)));
      return j >= 0 && i >= 0 && j < plan.D && i < plan.D ? [j, i] : null;
    };
    return { draw, cell };
  };

  // --- two scalars ----------------------------------------------------------------------------------------------------
  const drawPlane = (canvas) => {
    const prepared = surface(canvas);
    const draw = ({ plan, marks, now, shown, run }) => {
      const { pen, w, h, still } = prepared(),
        box = { left: 30, right: w - 10, top: 10, foot: h - 36 };
      const x = (gap) => box.left + between(gap, plan.axes.gap) * (box.right - box.left);
      const y = (C1) => box.foot - between(C1, plan.axes.C1) * (box.foot - box.top);
      still(`${run}`, (pen) => {
        letters(pen);
        const most = plan.axes.C1[1],
          every = most > 4 ? 2 : 1;
        for (let C1 = 0; C1 <= most; C1 += every) {
          stroke(
            pen,
            [
              [box.left, y(C1)],
              [box.right, y(C1)],
            ],
            colours.line,
          );
          text(pen, String(C1), box.left - 6, y(C1) + 4, "right");
        }
        for (let gap = Math.ceil(plan.axes.gap[0]); gap <= plan.axes.gap[1]; gap++)
          text(pen, String(gap).replace("-", "−"), x(gap), box.foot + 15, "center");
        text(pen, "gap", box.right, box.foot + 31, "right");
        text(pen, "C₁", box.left + 6, box.top + 9);
        frame(pen, box);
        if (plan.uniform && !plan.all) return drawFlow(pen, plan, box, x, y);
        const words = plan.all
          ? ["K = D: nothing to find,", "only C₁ moves"]
          : ["the columns differ: two numbers", "hold only their mean"];
        words.forEach((line, n) => text(pen, line, box.right, box.foot - 28 + 16 * n, "right"));
      });
      if (!now) return;
      within(pen, box, 6, () => {
        const rows = marks.concat(now),
          swings = plan.past ? rows.findIndex((row) => row.t > 3 * plan.T_star) : -1;
        const calm = swings > 0 ? rows.slice(0, swings) : rows,
          beside = calm.filter((row) => row.beside);
        if (beside.length > 1)
          stroke(
            pen,
            beside.map((row) => [x(row.beside.gap), y(row.beside.C1)]),
            `color-mix(in srgb, ${colours.run} 38%, ${colours.page})`,
            7,
          );
        stroke(
          pen,
          calm.map((row) => [x(row.gap), y(row.C1)]),
          colours.run,
          2.2,
        );
        if (swings > 0)
          for (const row of rows.slice(swings))
            dot(pen, x(row.gap), y(Math.min(row.C1, plan.axes.C1[1])), 2, colours.run, "transparent");
        letters(pen);
        let told = [-99, -99];
        for (const n of [1, 10, 100]) {
          const row = marks.find((row) => row.t >= n * plan.T_star);
          if (!row) continue;
          dot(pen, x(row.gap), y(row.C1), 2.6, colours.ink, "transparent");
          if (Math.hypot(x(row.gap) - told[0], y(row.C1) - told[1]) < 34) continue;
          told = [x(row.gap), y(row.C1)];
          text(pen, n > 1 ? `${n} T*` : "T*", x(row.gap), y(row.C1) - 10, "center", colours.ink);
        }
        dot(pen, x(shown.gap), y(shown.C1), 6, colours.run);
      });
    };
    return { draw };
  };
  /** Short strokes along the flow, in the plane's own units: all are upright but on the slow manifold, dashed. */
  const drawFlow = (pen, plan, box, x, y) => {
    const { scalars, r } = plan;
    pen.globalAlpha = 0.6;
    for (let column = 0; column < 15; column++)
      for (let row = 0; row < 9; row++) {
        const gap = ((column + 0.5) / 15) * plan.axes.gap[1],
          C1 = ((row + 0.6) / 9.4) * plan.axes.C1[1];
        const [up, on] = m.force(scalars, C1, gap),
          step = [plan.frozen ? 0 : x(on) - x(0), y(up) - y(0)];
        const long = Math.hypot(...step) / 5.5 || 1,
          [dx, dy] = step.map((part) => part / long);
        stroke(
          pen,
          [
            [x(gap) - dx, y(C1) - dy],
            [x(gap) + dx, y(C1) + dy],
          ],
          colours.frame,
        );
        dot(pen, x(gap) + dx, y(C1) + dy, 1.2, colours.frame, "transparent");
      }
    pen.globalAlpha = 1;
    const gaps = Array.from({ length: 201 }, (_, n) => (n / 200) * plan.axes.gap[1]);
    stroke(
      pen,
      gaps.map((gap) => [x(gap), y(m.slowManifold(scalars, gap))]),
      colours.ink,
      1.6,
      [7, 5],
    );
    letters(pen, 12.5);
    const last = 0.97 * plan.axes.gap[1];
    label(pen, "slow manifold", x(last), y(m.slowManifold(scalars, last)) + 18, "right", colours.ink);
    if (plan.frozen || r <= 1 || Math.log(r) > plan.axes.gap[1]) return;
    stroke(
      pen,
      [
        [x(Math.log(r)), box.foot],
        [x(Math.log(r)), box.foot - 40],
      ],
      colours.teacher,
      1.4,
      [2, 3],
    );
    label(pen, "half", x(Math.log(r)) + 5, box.foot - 26, "left", colours.teacher);
  };

  // --- a graph, or tokens in a row: what the teacher reads ----------------------------------------------------------
  const NUMBERED = 24; // more nodes leave no room for their numbers
  const drawTokens = (canvas) => {
    const prepared = surface(canvas);
    /** Where the nodes of a graph stand: on a circle, the first on top; tokens stand in rows. */
    const spots = ({ t, D }, w, h) => {
      if (t === "graph")
        return Array.from({ length: D }, (_, i) => {
          const turn = (2 * Math.PI * i) / D - Math.PI / 2,
            far = Math.min(w, h) / 2 - (D <= NUMBERED ? 22 : 14);
          return [w / 2 + far * Math.cos(turn), h / 2 + far * Math.sin(turn)];
        });
      const across = Math.min(D, Math.max(4, Math.floor(w / 30))),
        rows = Math.ceil(D / across);
      return Array.from({ length: D }, (_, i) => [
        ((i % across) + 0.5) * (w / across),
        (Math.floor(i / across) + 0.5) * Math.min(30, h / rows),
      ]);
    };
    const draw = ({ plan, cursor, edge }) => {
      const { state } = plan,
        { pen, w, h } = prepared(),
        places = spots(state, w, h),
        graph = state.t === "graph";
      if (graph) for (const [i, j] of states.edgesOf(state)) stroke(pen, [places[i], places[j]], colours.soft, 1);
      if (edge) stroke(pen, [places[edge.from], edge.to], colours.teacher, 2.5, edge.removes ? [4, 4] : []);
      const chosen = graph ? [] : states.tokensOf(state),
        size = graph ? Math.max(3.5, Math.min(9, 130 / state.D)) : 11;
      letters(pen, 11);
      places.forEach(([x, y], i) => {
        const at = cursor?.node === i || edge?.from === i,
          read = graph || chosen.includes(i);
        dot(
          pen,
          x,
          y,
          size,
          read ? colours.teacher : colours.page,
          at ? colours.focus : read ? colours.page : colours.frame,
        );
        if (at) dot(pen, x, y, size + 2.5, "transparent", colours.focus);
        if (!graph) text(pen, String(i), x, y + 4, "center", read ? colours.page : colours.soft);
        else if (state.D <= NUMBERED) {
          // outside of its node
          const long = Math.hypot(x - w / 2, y - h / 2) / (size + 8);
          text(pen, String(i), x + (x - w / 2) / long, y + (y - h / 2) / long + 4, "center");
        }
      });
    };
    const near = ({ plan }, left, top) => {
      const places = spots(plan.state, canvas.clientWidth, canvas.clientHeight).map(([x, y]) =>
        Math.hypot(x - left, y - top),
      );
      const best = places.indexOf(Math.min(...places));
      return places[best] < 26 ? best : null;
    };
    return { draw, near, spot: ({ plan }, i) => spots(plan.state, canvas.clientWidth, canvas.clientHeight)[i] };
  };

  return { adopt, loss: drawLoss, scores: drawScores, plane: drawPlane, tokens: drawTokens };
};

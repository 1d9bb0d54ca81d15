// What a bench is set to, as one flat state: its ranges, its address, what it asks of dynamics.js, its run in Python.
const benchStates = (m) => {
  "use strict";

  const KINDS = {
    conv: "convolution",
    graph: "graph convolution",
    tokens: "chosen tokens",
    sparse: "one token",
    paint: "paint your own S*",
  };
  const DEFAULT = {
    t: "conv",
    D: 36,
    K: 4,
    k: 1,
    e: 0.5,
    q: 1,
    M: 4,
    d: 8,
    s: 1,
    r: 0,
    x: 0,
    n: 1,
    p: null,
    g: null,
    j: null,
  };
  const RANGES = {
    D: [4, 64, true],
    K: [1, 64, true],
    k: [0, 1],
    e: [0.01, 4],
    q: [0, 1, true],
    M: [1, 8, true],
    d: [1, 16, true],
    s: [0, 99, true],
    r: [0, 2],
    x: [0, 1, true],
    n: [0, 1, true],
  };
  const NAMES = {
    D: "D",
    K: "K",
    k: "the slope κ",
    e: "η/η_max",
    q: "the switch q",
    M: "M",
    d: "d",
    s: "the seed",
    r: "the size of the start",
    x: "the switch x",
    n: "the switch n",
  };
  const LEVELS = [0, 1, -1, 2]; // of paint, in units of 1/K, as two bits name them
  // what a drawing takes: its teachers, its bits a cell, how many cells it has, what it is
  const DRAWN = {
    p: [["paint"], 2, (D) => D * D, "the painted matrix"],
    g: [["graph"], 1, (D) => (D * (D - 1)) / 2, "the list of edges"],
    j: [["tokens", "sparse"], 1, (D) => D, "the list of tokens"],
  };
  const SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const LONGEST = 4096;

  /** Cells of `bits` bits each, six bits a sign, without the zeros at the end. */
  const pack = (cells, bits) => {
    const many = 6 / bits,
      text = [];
    for (let start = 0; start < cells.length; start += many)
      text.push(
        SIGNS[Array.from(cells.slice(start, start + many)).reduce((all, cell, n) => all | (cell << (bits * n)), 0)],
      );
    return text.join("").replace(/A+$/, "");
  };
  const unpack = (text, bits, count, what) => {
    const cells = new Uint8Array(count),
      many = 6 / bits;
    if (text.length > Math.ceil(count / many)) throw new RangeError(`${what} is larger than D allows`);
    [...text].forEach((sign, place) => {
      const all = SIGNS.indexOf(sign);
      if (all < 0) throw new RangeError(`${what} has a sign that is none of its alphabet`);
      for (let n = 0; n < many; n++) {
        const cell = (all >> (bits * n)) & (2 ** bits - 1);
        if (many * place + n < count) cells[many * place + n] = cell;
        else if (cell) throw new RangeError(`${what} is larger than D allows`);
      }
    });
    return cells;
  };

  /** The pairs of nodes in the order of their bits: (0, 1), (0, 2), …, (1, 2), … */
  const pairs = (D) =>
    Array.from({ length: D }, (_, i) => Array.from({ length: D - 1 - i }, (_, n) => [i, i + 1 + n])).flat();
  const pairPlace = (D, i, j) => (i < j ? i * D - (i * (i + 1)) / 2 + j - i - 1 : pairPlace(D, j, i));
  const edgesOf = ({ D, K, g }) => (g ? pairs(D).filter((_, place) => g[place]) : m.ring(D, K));
  /** The tokens that are read: those that were tapped, else K of them, spread evenly. */
  const tokensOf = ({ D, K, j }) =>
    j ? [...j.keys()].filter((i) => j[i]) : Array.from({ length: K }, (_, n) => Math.floor(((n + 0.5) * D) / K));

  const scoresOf = (state) => {
    const { t, D, K, s, x, n, p } = state;
    if (t === "conv") return m.convolution(D, m.groups(D, K, x ? s + 100 : undefined));
    if (t === "graph") return m.graphConvolution(D, edgesOf(state));
    if (t === "paint")
      return m.painted(
        D,
        K,
        Array.from(p, (code) => LEVELS[code]),
        Boolean(n),
      );
    return m.tokenSelection(D, tokensOf(state));
  };
  const rowsOf = ({ t, M }) => (t === "sparse" ? 1 : M); // Example 2.5 has one output for each token

  /** The task of a state for m.descent, but for its step: V*, S*, slope, and a start where it is random. */
  const taskOf = (state) => {
    const { D, d, k, s, r } = state,
      M = rowsOf(state);
    const start = r > 0 ? { W_V: m.normals(s + 200, M, d, r), W_KQ: m.normals(s + 300, D, D, r * Math.sqrt(D)) } : {};
    return { V_star: m.normals(s, M, d), S_star: scoresOf(state), slope: k, ...start };
  };

  /** The state with a part of it changed, and what no longer fits it mended: what a control does. */
  const changed = (state, part) => {
    const next = { ...state, ...part };
    const moved = (name) => part[name] !== undefined && part[name] !== state[name];
    if (next.t === "paint" && !next.p) {
      // starts from the teacher that stood there, in units of 1/K
      const levels = scoresOf({ ...next, t: state.t }).flatMap((row) => Array.from(row));
      next.p = Uint8Array.from(levels, (entry) => (entry > 0 ? 1 : 0));
    }
    if (next.p && next.p.length !== next.D ** 2) {
      const old = Math.sqrt(next.p.length),
        side = Math.min(old, next.D),
        p = new Uint8Array(next.D ** 2);
      for (let j = 0; j < side; j++) p.set(next.p.slice(j * old, j * old + side), j * next.D);
      next.p = p;
    }
    if (moved("D") || moved("K") || next.t !== "graph") next.g = null;
    if (moved("D") || moved("K") || !["tokens", "sparse"].includes(next.t) || moved("t")) next.j = part.j ?? null;
    if (part.g) next.g = part.g;
    if (next.t !== "paint") next.p = null;
    if (next.j) next.K = next.j.reduce((sum, bit) => sum + bit, 0);
    next.K = next.t === "sparse" ? 1 : Math.min(next.K, next.D);
    if (next.t === "graph" && !next.g) next.K = Math.max(3, next.K - (next.K % 2 ? 0 : next.K === next.D ? 1 : -1));
    return next;
  };

  /** Refuses what shows nothing: an empty matrix, nothing read. */
  const refuseEmpty = (state) => {
    if (state.t === "paint" && state.p.every((code) => code === 0)) throw new RangeError("the painted matrix is empty");
    if (state.j && !tokensOf(state).length) throw new RangeError("no token is chosen");
    if (state.t === "sparse" && tokensOf(state).length > 1) throw new RangeError("one token is read, not several");
    return state;
  };

  /** A state as an address, without what is as by default: t=conv&D=24. `read` takes it back. */
  const write = (state) => {
    const idle = state.j || state.g || state.t === "sparse",
      K = state.t === "graph" ? 3 : DEFAULT.K; // K says nothing there
    const told = Object.keys(RANGES).filter((name) =>
      name === "K" ? !idle && state.K !== K : state[name] !== DEFAULT[name],
    );
    const numbers = told.map((name) => `${name}=${Number(state[name].toFixed(4))}`);
    const drawn = Object.keys(DRAWN)
      .filter((name) => state[name])
      .map((name) => `${name}=${pack(state[name], DRAWN[name][1])}`);
    return [`t=${state.t}`, ...numbers, ...drawn].join("&");
  };

  /** The state of an address. What is unknown, told twice or out of range is refused whole, with one sentence. */
  const read = (address) => {
    if (address.length > LONGEST) throw new RangeError(`it is longer than ${LONGEST.toLocaleString("en")} characters`);
    const state = { ...DEFAULT },
      found = new Map();
    for (const part of address ? address.split("&") : []) {
      const at = part.indexOf("="),
        name = at < 0 ? part : part.slice(0, at),
        value = at < 0 ? "" : part.slice(at + 1);
      if (found.has(name)) throw new RangeError(`“${name.slice(0, 24)}” stands twice`);
      found.set(name, value);
      if (Object.hasOwn(RANGES, name)) {
        const [low, high, whole] = RANGES[name],
          number = /^\d{1,3}(\.\d{1,6})?$/.test(value) ? Number(value) : NaN;
        if (!(number >= low && number <= high) || (whole && !Number.isInteger(number)))
          throw new RangeError(
            `${NAMES[name]} must be a ${whole ? "whole " : ""}number from ${low} to ${high}, not “${value.slice(0, 24)}”`,
          );
        state[name] = number;
      } else if (name === "t") {
        if (!Object.hasOwn(KINDS, value)) throw new RangeError(`there is no teacher “${value.slice(0, 24)}”`);
        state.t = value;
      } else if (!Object.hasOwn(DRAWN, name)) throw new RangeError(`it has no entry “${name.slice(0, 24)}”`);
    }
    if (state.t === "sparse") {
      if (found.has("K") && state.K !== 1) throw new RangeError(`one token means K = 1, not “${state.K}”`);
      state.K = 1;
    }
    if (state.K > state.D) throw new RangeError(`K must be at most D = ${state.D}, not “${state.K}”`);
    for (const [name, [kinds, bits, count, what]] of Object.entries(DRAWN)) {
      if (!found.has(name)) continue;
      if (!kinds.includes(state.t)) throw new RangeError(`${what} needs another teacher than “${state.t}”`);
      state[name] = unpack(found.get(name), bits, count(state.D), what);
    }
    if (state.t === "paint" && !state.p) throw new RangeError("the painted matrix is missing");
    if (state.t === "graph" && !state.g) {
      if (!found.has("K")) state.K = 3;
      if (state.K < 3 || state.K % 2 === 0) throw new RangeError(`on a ring K is odd and at least 3, not “${state.K}”`);
    }
    if (state.j) {
      const chosen = tokensOf(state).length;
      if (state.t !== "sparse" && found.has("K") && state.K !== chosen)
        throw new RangeError(`K is not the number of chosen tokens, “${state.K}”`);
      state.K = chosen;
    }
    return refuseEmpty(state);
  };

  // --- the same run in Python ----------------------------------------------------------------------------------------
  const DRAWS = `def normals(seed, rows, columns, scale=1.0):
    """N(0, scale²) as the page draws them: mulberry32, then Box and Muller."""
    state = seed

    def uniform():
        nonlocal state
        state = (state + 0x6D2B79F5) % 2**32
        t = (state ^ state >> 15) * (state | 1) % 2**32
        t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
        return (t ^ t >> 14) / 2**32

    def normal():
        size = math.sqrt(-2 * math.log(1 - uniform()))
        return scale * size * math.cos(2 * math.pi * uniform())

    return torch.tensor([[normal() for _ in range(columns)] for _ in range(rows)], dtype=torch.float64)`;

  const teacherInPython = (state) => {
    const { t, D, K, k, s, x, n, p } = state,
      sigma = `Activation(${k})`,
      list = (items) => `[${items.join(", ")}]`;
    const scores = (lines) => [...lines, `teacher = Teacher(V_star, S_star, ${sigma})`];
    if (t === "conv") {
      const groups = m.groups(D, K, x ? s + 100 : undefined).map((group) => list(group));
      const given = x || D % K ? `groups=[\n    ${groups.join(",\n    ")},\n]` : `K=${K}`;
      return [`teacher = convolution(V_star, D=${D}, ${given}, sigma=${sigma})`];
    }
    if (t === "graph")
      return [
        "graph = nx.Graph()",
        `graph.add_nodes_from(range(${D}))`,
        `graph.add_edges_from([${edgesOf(state)
          .map((edge) => `(${edge.join(", ")})`)
          .join(", ")}])`,
        `teacher = Teacher(V_star, graph_scores(graph), ${sigma})`,
      ];
    if (t !== "paint")
      return scores([
        `S_star = torch.zeros(${D}, ${D}, dtype=torch.float64)`,
        `S_star[${list(tokensOf(state))}] = 1 / ${K}`,
      ]);
    const rows = Array.from({ length: D }, (_, j) =>
      list(Array.from(p.slice(j * D, (j + 1) * D), (code) => LEVELS[code])),
    );
    const unit = n ? ["total = S_star.sum(0)", `S_star /= torch.where(total > 0, total, ${K}.0)`] : [`S_star /= ${K}`];
    return scores([`S_star = torch.tensor([\n    ${rows.join(",\n    ")},\n], dtype=torch.float64)`, ...unit]);
  };

  /** Lines that make the same run with `bilinear`: T steps at step size eta; `loss` is what the page found. */
  const python = (state, eta, T, loss) => {
    const { t, D, d, s, q, r } = state,
      M = rowsOf(state),
      graph = t === "graph";
    const made = { conv: "convolution", graph: "Teacher, graph_scores" }[t] ?? "Teacher";
    const start =
      r > 0
        ? [
            `student = PositionOnlyTransformer.of(teacher, W_V=normals(${s + 200}, ${M}, ${d}, ${r}), ` +
              `W_KQ=normals(${s + 300}, ${D}, ${D}, ${r} * math.sqrt(${D})))`,
          ]
        : [];
    const more = `${r > 0 ? ", student=student" : ""}${q ? "" : ", eta_KQ=0"}`;
    return [
      "import math",
      "",
      ...(graph ? ["import networkx as nx"] : []),
      "import torch",
      "",
      "from bilinear import descent",
      "from bilinear.activations import Activation",
      ...(r > 0 ? ["from bilinear.students import PositionOnlyTransformer"] : []),
      `from bilinear.teachers import ${made}`,
      "",
      "",
      DRAWS,
      "",
      "",
      `V_star = normals(${s}, ${M}, ${d})`,
      ...teacherInPython(state),
      ...start,
      `run = descent.population(teacher, eta=${eta}, steps=${T}${more})`,
      `print(run.excess_loss[-1])${loss === undefined ? "" : `  # the page found ${loss}`}`,
      "",
    ].join("\n");
  };

  return {
    KINDS,
    DEFAULT,
    RANGES,
    LEVELS,
    pairPlace,
    edgesOf,
    tokensOf,
    scoresOf,
    rowsOf,
    taskOf,
    changed,
    refuseEmpty,
    read,
    write,
    python,
  };
};

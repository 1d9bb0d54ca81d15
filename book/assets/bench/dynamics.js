// The mathematics of the bench: what `bilinear` computes, once more for a browser. One plain function holds all of it,
// so that a page calls dynamics() and a worker is made of its text: new Blob([`(${worker})(${dynamics})`]).
//
// Each formula has its first home in lib/bilinear, named beside it; tests/bench hold the two together. Data have the
// names they have there. A matrix is an array of rows; a teacher is { V_star: M × d, S_star: D × D, slope: κ }; the
// laws take the scalars { D, K, V_norm_sq, eta, slope }. A bad argument throws one error, before any work.
const dynamics = () => {
  "use strict";

  // --- arguments: checks.py -----------------------------------------------------------------------------------------
  const SIZE = { least: 1, most: 1024, whole: true }, COUNT = { least: 0, most: 1e7, whole: true };
  const POSITIVE = { above: 0, least: 1e-50 }, SHARE = { least: 0, most: 1 }, GAP = { least: -300 };
  const isList = (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  const told = (value) => (isList(value) ? `a list of ${value.length}` : typeof value === "string"
    ? JSON.stringify(value.slice(0, 24)) : Object(value) === value ? `a value of type ${typeof value}` : String(value));
  const refuse = (name, bound, value) => { throw new RangeError(`${name} must be ${bound}, got ${told(value)}`); };
  const real = (name, value, { above = -Infinity, least = -1e50, most = 1e50, whole = false } = {}) => {
    if (typeof value !== "number") refuse(name, whole ? "an integer" : "a number", value);
    if (!Number.isFinite(value)) refuse(name, "finite", value);
    if (whole && !Number.isInteger(value)) refuse(name, "an integer", value);
    if (value <= above) refuse(name, `greater than ${above}`, value);
    if (value < least) refuse(name, `at least ${least}`, value);
    return value <= most ? value : refuse(name, `at most ${most}`, value);
  };
  const list = (name, value, each) => (isList(value) ? Array.from(value, each) : refuse(name, "a list", value));
  const tokens = (name, value, D) => list(name, value, (i) => real(`a token of ${name}`, i, { ...COUNT, most: D - 1 }));

  /** A matrix as its rows on end, a Float64Array. A side that is not given may have any length. */
  const matrix = (name, value, rows = value?.length, columns = value?.[0]?.length) => {
    if (!isList(value)) refuse(name, "an array of rows", value);
    for (const side of [rows, columns]) real(`a side of ${name}`, side, SIZE);
    if (value.length !== rows || !Array.from(value).every((row) => isList(row) && row.length === columns))
      refuse(name, `${rows} rows of ${columns}`, value);
    return Float64Array.from(Array.from(value).flatMap((row, j) => Array.from(row, (entry, i) => {
      const size = Math.abs(real(`${name}[${j}][${i}]`, entry));
      return size > 0 && size < 1e-50 ? refuse(`${name}[${j}][${i}]`, "0 or at least 1e-50 in size", entry) : entry;
    })));
  };
  const rowsOf = (flat, d) => Array.from({ length: flat.length / d }, (_, m) => flat.slice(m * d, (m + 1) * d));
  const turned = (flat, D) => flat.map((_, p) => flat[(p % D) * D + Math.floor(p / D)]); // the transpose, D × D
  const sum = (values, of = (value) => value) => values.reduce((so_far, value, k) => so_far + of(value, k), 0);
  const square = (value) => value * value;

  /** The argument of a run: an object, with no other names than these. */
  const only = (names, given) => {
    if (Object(given) !== given) refuse("the argument", `an object of ${names}`, given);
    const odd = Object.keys(given).find((name) => !names.split(" ").includes(name));
    return odd === undefined ? given : refuse("a name", `one of ${names}`, odd);
  };
  /** A teacher and its sizes. T is S* by columns, as everything D × D in a run: softmax runs down columns. */
  const teacherOf = ({ V_star, S_star, slope }) => {
    const V = matrix("V_star", V_star), D = S_star?.length, T = turned(matrix("S_star", S_star, D, D), D);
    return { M: V_star.length, d: V.length / V_star.length, D, V, T, slope: real("slope", slope, SHARE) };
  };
  /** The scalars with r = (D−K)/K, a and β; K is at most D − `zeros`. */
  const scalarsOf = (given, zeros = 0) => {
    const { D, K, V_norm_sq, eta, slope } = Object(given);
    real("K", K, { ...SIZE, most: real("D", D, { ...SIZE, most: 1e6 }) - zeros });
    for (const [name, value] of Object.entries({ V_norm_sq, eta })) real(name, value, POSITIVE);
    return { D, K, V_norm_sq, eta, slope, r: (D - K) / K, ...activation(real("slope", slope, SHARE)) };
  };

  // --- the exact loss: activations.py, population.py, scores.py, laid out as in compiled.py ----------------------
  /** σ(z) = max(z, κz): a = ½(1+κ²), β = (1−κ)²/(π(1+κ²)). Derived in paper/setting. */
  const activation = (slope) => ({ a: 0.5 * (1 + slope ** 2), beta: (1 - slope) ** 2 / (Math.PI * (1 + slope ** 2)) });

  /** h(θ) = sin θ − θ cos θ, what ReLU leaves in the loss, accurate for every angle in [0, π]. */
  const angleDefect = (theta, sin, cos) => {
    const q = theta * theta;
    return theta < 0.05 ? theta * q * (1 / 3 - q * (1 / 30 - q * (1 / 840 - q / 45360))) : sin - theta * cos;
  };

  /**
   * The student σ(W X S): W M × d, logits Z and scores S D × D by columns. `softmax` fills S from Z (2.4); `weigh`
   * returns the excess loss ½E‖f* − TF‖² for Gaussian X, and fills its slopes to_W and to_Z. Derived in paper/setting:
   * E(σ(u) − σ(v))² = a [E(u−v)² − 2β √(Var u Var v) h(θ)], θ the angle of u and v. Nothing cancels near the teacher.
   */
  const layer = ({ M, d, D, V, T, slope }) => {
    const { a, beta } = activation(slope), per_root_D = 1 / Math.sqrt(D), zeros = (n) => new Float64Array(n);
    const [W, to_W] = [zeros(M * d), zeros(M * d)], [Z, S, to_Z] = [zeros(D * D), zeros(D * D), zeros(D * D)];
    const [w_norm, along, sin_w_sq, to_w_norm, to_w_dot] = Array.from({ length: 5 }, () => zeros(M));
    const v_norm = Float64Array.from(rowsOf(V, d), (v) => Math.sqrt(sum(v, square))), V_sq = sum(V, square);
    const s_star_sq = Float64Array.from(rowsOf(T, D), (s) => sum(s, square));

    const softmax = () => {
      for (let end = D; end <= D * D; end += D) {
        let top = -Infinity, total = 0;
        for (let p = end - D; p < end; p++) if (Z[p] > top) top = Z[p];
        for (let p = end - D; p < end; p++) {
          const z = (Z[p] - top) * per_root_D;
          total += S[p] = z < -700 ? 0 : Math.exp(z); // numbers below the normal ones are slow, and nothing reads them
        }
        for (let p = end - D; p < end; p++) S[p] /= total;
      }
    };

    const weigh = () => {
      let W_sq = 0, WV = 0, across_sq = 0, S_sq = 0, on_V_star = 0, linear = 0, even = 0;
      for (let m = 0, p = 0; m < M; m++) {
        let w_sq = 0, w_dot = 0;
        for (let end = p + d; p < end; p++) { w_sq += W[p] * W[p]; w_dot += W[p] * V[p]; }
        W_sq += w_sq;
        WV += w_dot;
        w_norm[m] = Math.sqrt(w_sq);
        along[m] = w_dot / (v_norm[m] || 1); // a zero row is divided by one
        to_w_norm[m] = to_w_dot[m] = 0;
      }
      const c = V_sq > 0 ? WV / V_sq : 0; // W = c V* + across, orthogonal
      for (let m = 0, p = 0; m < M; m++) {
        let w_rest_sq = 0;
        for (let end = p + d, share = along[m] / (v_norm[m] || 1); p < end; p++) {
          across_sq += (W[p] - c * V[p]) ** 2;
          w_rest_sq += (W[p] - share * V[p]) ** 2;
        }
        sin_w_sq[m] = w_norm[m] > 0 ? w_rest_sq / w_norm[m] ** 2 : 1; // a zero row is at a right angle: σ'(0) = ½(1+κ)
      }
      for (let i = 0, start = 0, end = D; i < D; i++, start = end, end += D) {
        let b = 0, rest_sq = 0; // s_i = b s*_i + rest, orthogonal
        for (let p = start; p < end; p++) b += S[p] * T[p];
        b = s_star_sq[i] > 0 ? b / s_star_sq[i] : 0;
        for (let p = start; p < end; p++) rest_sq += (S[p] - b * T[p]) ** 2;
        const s_sq = b * b * s_star_sq[i] + rest_sq;
        linear += s_star_sq[i] * ((b * c - 1) ** 2 * V_sq + b * b * across_sq) + W_sq * rest_sq;
        S_sq += s_sq;
        on_V_star += b * s_star_sq[i];
        let on_teacher = b * W_sq - WV, on_rest = W_sq; // dL/ds_i = a (on_teacher s*_i + on_rest rest)
        if (beta > 0) {
          const s_star_norm = Math.sqrt(s_star_sq[i]), s_norm = Math.sqrt(s_sq);
          const sin_s_sq = rest_sq / s_sq, cos_s = (b * s_star_norm) / s_norm;
          let to_s_norm = 0, to_s_dot = 0;
          for (let m = 0; m < M; m++) {
            const sin = Math.sqrt(sin_s_sq + (1 - sin_s_sq) * sin_w_sq[m]);
            const cos = (along[m] / (w_norm[m] || 1)) * cos_s, theta = Math.atan2(sin, cos);
            const length = v_norm[m] * w_norm[m];
            even += length * s_star_norm * s_norm * angleDefect(theta, sin, cos);
            to_w_norm[m] += sin * s_star_norm * s_norm;
            to_w_dot[m] += theta * s_star_sq[i] * b;
            to_s_norm += length * sin;
            to_s_dot += v_norm[m] * along[m] * theta;
          }
          to_s_norm *= s_star_norm / s_norm;
          on_teacher -= beta * (to_s_norm * b - to_s_dot);
          on_rest -= beta * to_s_norm;
        }
        const inner = on_teacher * b * s_star_sq[i] + on_rest * rest_sq; // ⟨s_i, dL/ds_i⟩, which softmax takes out
        for (let p = start; p < end; p++)
          to_Z[p] = a * per_root_D * S[p] * (on_teacher * T[p] + on_rest * (S[p] - b * T[p]) - inner);
      }
      for (let m = 0, p = 0; m < M; m++) {
        const on_W = S_sq - (beta * v_norm[m] * to_w_norm[m]) / (w_norm[m] || 1);
        const on_V = on_V_star - beta * to_w_dot[m];
        for (let end = p + d; p < end; p++) to_W[p] = a * (on_W * W[p] - on_V * V[p]);
      }
      return 0.5 * a * linear - a * beta * even;
    };
    return { W, Z, S, to_W, to_Z, V_sq, softmax, weigh };
  };

  // --- runs: descent.py, scalar_dynamics.py ----------------------------------------------------------------------
  /** Take n steps of a run, fewer where it has `stopped` or `ms` milliseconds are over; returns how many were taken. */
  const advancing = (run, step) => (n, ms = Infinity) => {
    const from = run.t, until = performance.now() + ms;
    while (run.t - from < n && !run.stopped && (run.t & 7 || performance.now() < until)) step(); // a clock is not free
    return run.t - from;
  };

  /**
   * Gradient descent (3.3)–(3.4) on the exact loss, to be continued with `advance(n, ms)`. W_V and W_KQ, zero where not
   * given, are its start; eta_KQ is eta where not given, and 0 freezes the attention. `look()` is a row of descent.Run,
   * `weights()` and `slopes()` are matrices, `stopped` is the sentence with which a run ends that diverged. `marks` are
   * such rows, of every early step, then `per_decade` of them a decade of t, each with the `least` and `greatest` loss
   * since the one before and S, D × D by rows in float32; whoever reads them may take them out.
   */
  const descent = (given) => {
    const { V_star, S_star, slope, eta, W_V, W_KQ } =
      only("V_star S_star slope eta eta_KQ W_V W_KQ per_decade", given);
    const f = teacherOf({ V_star, S_star, slope }), { M, d, D, V, T } = f;
    const { W, Z, S, to_W, to_Z, V_sq, softmax, weigh } = layer(f);
    const eta_KQ = real("eta_KQ", given.eta_KQ ?? real("eta", eta, POSITIVE), { least: 0 });
    const per_decade = real("per_decade", given.per_decade ?? 48, { ...COUNT, most: 1000 });
    W.set(W_V == null ? W : matrix("W_V", W_V, M, d));
    Z.set(W_KQ == null ? Z : turned(matrix("W_KQ", W_KQ, D, D), D));
    const count_on = T.filter((entry) => entry > 0).length, count_off = D * D - count_on;
    let bound = Infinity, least = Infinity, greatest = -Infinity, mark = per_decade ? 0 : Infinity;

    const run = { t: 0, excess_loss: NaN, stopped: "", marks: [] };
    run.look = () => {
      const W_sq = sum(W, square), along = sum(W, (w, p) => w * V[p]), lengths = Math.sqrt(W_sq) * Math.sqrt(V_sq);
      const on = sum(S, (s, p) => (T[p] > 0 ? s : 0)), off = sum(S, (s, p) => (T[p] > 0 ? 0 : s));
      return {
        t: run.t, excess_loss: run.excess_loss, cosine: lengths > 0 ? along / lengths : 0,
        support_mass: on / D, off_support: off / D, C1: V_sq > 0 ? along / V_sq : 0,
        gap: count_on && count_off ? Math.log((on * count_off) / (off * count_on)) : 0,
        value_error: Math.sqrt(sum(W, (w, p) => square(w - V[p]))),
        score_error: Math.sqrt(sum(S, (s, p) => square(s - T[p]))),
      };
    };
    run.weights = () => ({ W_V: rowsOf(W, d), W_KQ: rowsOf(turned(Z, D), D), S: rowsOf(turned(S, D), D) });
    run.slopes = () => ({ W_V: rowsOf(to_W, d), W_KQ: rowsOf(turned(to_Z, D), D) });
    const arrive = () => {
      softmax();
      const loss = (run.excess_loss = weigh());
      if (!(loss < bound)) run.stopped = `the run diverged at step ${run.t}: loss = ${loss} at eta = ${eta}, ${eta_KQ}`;
      least = Math.min(least, loss);
      greatest = Math.max(greatest, loss);
      if (run.t < mark) return;
      run.marks.push({ ...run.look(), least, greatest, S: Float32Array.from(turned(S, D)) });
      [least, greatest] = [Infinity, -Infinity];
      for (let k = Math.floor(Math.log10(mark || 1) * per_decade); mark <= run.t; k++)
        mark = Math.round(10 ** (k / per_decade));
    };
    run.advance = advancing(run, () => {
      for (let p = 0; p < M * d; p++) W[p] -= eta * to_W[p];
      if (eta_KQ > 0) for (let p = 0; p < D * D; p++) Z[p] -= eta_KQ * to_Z[p];
      run.t++;
      arrive();
    });
    arrive();
    if (run.excess_loss > 0) bound = 1e6 * run.excess_loss;
    return run;
  };
  /** The excess loss and its slopes in W_V, M × d, and W_KQ, D × D (P = I), of { V_star, S_star, slope, W_V, W_KQ }. */
  const gradients = (task) => {
    const run = descent({ ...only("V_star S_star slope W_V W_KQ", task), eta: 1, per_decade: 0 });
    return { excess_loss: run.excess_loss, ...run.slopes() };
  };

  /** descent.population: a Run's columns at the steps in `record`, all where not given, and W_V, W_KQ, S at the end. */
  const population = (given) => {
    const { steps, record, ...task } = only("V_star S_star slope eta eta_KQ steps record W_V W_KQ", given);
    const inside = { ...COUNT, most: real("steps", steps, COUNT) };
    const kept = record == null ? null : list("record", record, (t) => real("a step in record", t, inside));
    const run = descent({ ...task, per_decade: 0 });
    const at = (t) => {
      run.advance(t - run.t);
      if (run.stopped) throw new Error(run.stopped);
      return run.look();
    };
    const times = new Set(kept ?? Array.from({ length: steps + 1 }, (_, t) => t));
    const rows = [...times].sort((t, later) => t - later).map(at);
    const columns = Object.keys(at(steps)).map((name) => [name, Float64Array.from(rows, (row) => row[name])]);
    return { ...Object.fromEntries(columns), ...run.weights() };
  };

  /**
   * The excess loss at (C₁, gap), a sum that does not cancel: (a‖V*‖²D/2K) [(1−m)² + m² tan²θ − 2mβ(tan θ − θ)], where
   * m = C₁/(1+rx), x = e^{−gap}. ScalarDynamics.excess_loss; derived in paper/two-scalars.
   */
  const scalarLoss = (scalars, C1, gap) => {
    const { D, K, V_norm_sq, r, a, beta } = scalarsOf(scalars);
    const x = Math.exp(-real("gap", gap, GAP)), tan = Math.sqrt(r) * x;
    const theta = Math.atan(tan), cos = 1 / Math.sqrt(1 + tan * tan), m = real("C1", C1) / (1 + r * x);
    const defect = C1 < 0 ? theta - Math.PI - tan : angleDefect(theta, tan * cos, cos) / cos; // tan θ − θ
    return ((a * V_norm_sq * D) / (2 * K)) * ((1 - m) ** 2 + (m * tan) ** 2 - 2 * m * beta * defect);
  };
  /** −dL/dC₁ and the rate of the gap, of checked scalars: ScalarDynamics._force. θ is above ½π where C₁ < 0. */
  const forceOf = ({ D, K, V_norm_sq, slope, r, a, beta }, C1, gap) => {
    const x = Math.exp(-gap), mass = 1 / (1 + r * x), tan = (C1 < 0 ? -1 : 1) * Math.sqrt(r) * x;
    const theta = Math.atan(tan) + (C1 < 0 ? Math.PI : 0), cos_sq = 1 / (1 + tan * tan);
    const drive = C1 === 0 ? (1 + slope) ** 2 / (4 * a) : 1 + beta * (tan - theta); // at W_V = 0: σ'(0) = ½(1+κ)
    const bracket = 1 - beta * theta + beta * (1 - x) * tan * cos_sq - C1 * (1 - x) * mass;
    const to_gap = r > 0 ? ((a * V_norm_sq) / K ** 3) * C1 * x * mass ** 2 * bracket : 0;
    return [((a * D) / K) * mass * (drive - C1 * (1 + r * x * x) * mass), to_gap];
  };
  /** The flow of the two scalars at (C₁, gap). */
  const force = (scalars, C1, gap) => forceOf(scalarsOf(scalars), real("C1", C1), real("gap", gap, GAP));
  /** The map of C₁ and the gap, to be continued as a descent is: ScalarDynamics. */
  const twoScalars = (given) => {
    const scalars = scalarsOf(only("D K V_norm_sq eta slope eta_KQ", given)), { D, K, eta } = scalars;
    const eta_KQ = real("eta_KQ", given.eta_KQ ?? eta, { least: 0 }), bound = 1e3 * Math.sqrt(D / K);
    const loss = { get excess_loss() { return scalarLoss(scalars, run.C1, run.gap); } };
    const run = Object.assign(loss, { t: 0, C1: 0, gap: 0, stopped: "" });
    run.advance = advancing(run, () => {
      const [to_C1, to_gap] = forceOf(scalars, run.C1, run.gap);
      run.C1 += eta * to_C1;
      run.gap += eta_KQ * to_gap;
      run.t++;
      if (!(Math.abs(run.C1) < bound && run.gap > -300))
        run.stopped = `the two scalars diverged at step ${run.t}: C1 = ${run.C1} at eta = ${eta}, ${eta_KQ}`;
    });
    return run;
  };
  /** ScalarDynamics.run: t, C1, gap and excess_loss at every step 0 … steps. */
  const scalars = (given) => {
    const { steps, ...task } = only("D K V_norm_sq eta slope eta_KQ steps", given), run = twoScalars(task);
    const column = () => new Float64Array(real("steps", steps, COUNT) + 1);
    const found = { t: column(), C1: column(), gap: column(), excess_loss: column() };
    for (let row = 0; row <= steps; row++) {
      run.advance(row - run.t);
      if (run.stopped) throw new Error(run.stopped);
      for (const name in found) found[name][row] = run[name];
    }
    return found;
  };

  // --- what is known beforehand: laws.py, floors.py --------------------------------------------------------------
  const GAUSS = [[0.14887433898163122, 0.29552422471475287], [0.4333953941292472, 0.26926671930999635],
    [0.6794095682990244, 0.21908636251598204], [0.8650633666889845, 0.14945134915058059],
    [0.9739065285171717, 0.06667134430868814]];
  /** ∫ f by Gauss–Legendre, ten points on panels of width ½ at most: the integrands are smooth on the scale of 1. */
  const integral = (f, from, to) => {
    const panels = Math.ceil(2 * (to - from)), half = (to - from) / panels / 2;
    let total = 0;
    for (let n = 0, at = from + half; n < panels; n++, at += 2 * half)
      for (const [node, weight] of GAUSS) total += weight * half * (f(at - node * half) + f(at + node * half));
    return total;
  };
  const bisect = (reached, low, high) => {
    for (let n = 0; n < 60; n++) {
      const middle = (low + high) / 2;
      if (reached(middle)) high = middle; else low = middle;
    }
    return high;
  };
  const step = (T, least = 0) => real("T", T, { least, most: 1e150 });
  const reach = (gap) => real("gap", gap, { least: 0, most: 300 });
  /** A law of the scalars; `zeros`, 1 where it needs K < D. */
  const law = (rule, zeros = 0) => (scalars, at) => rule(scalarsOf(scalars, zeros), at);

  /** What the slow manifold takes from gap to gap: which = 0, in units of T*; 1, C₁'s trailing, in units of 1/η. */
  const spent = ({ r, a, beta }, which, from, to) => integral((gap) => {
    const x = Math.exp(-gap), tan = Math.sqrt(r) * x, theta = Math.atan(tan), cos_sq = 1 / (1 + tan * tan);
    const mass = 1 / (1 + r * x), drive = 1 + beta * (tan - theta), brake = 1 - beta * theta;
    if (which === 0) return 1 / (a * ((1 + r) * x * cos_sq) ** 2 * brake * drive);
    const C1_log_slope = -x * (r * mass + (beta * Math.sqrt(r) * tan ** 2 * cos_sq) / drive - 2 * r * x * cos_sq);
    return (C1_log_slope * (1 - (drive * (1 - x) * mass) / (brake * x)) * cos_sq) / (a * (1 + r) * mass ** 2);
  }, from, to);

  /** T* = K D²/(η‖V*‖²) steps. */
  const escapeTime = law(({ D, K, V_norm_sq, eta }) => (K * D * D) / (eta * V_norm_sq));
  /** η_max = 2K/(aD). */
  const largestStableEta = law(({ D, K, a }) => (2 * K) / (a * D));
  /** C₁*(gap) = (1+rx)(1 + β(tan θ − θ))/(1+rx²), where C₁ has come to rest. */
  const slowManifold = law(({ r, beta }, gap) => {
    const x = Math.exp(-real("gap", gap, GAP)), tan = Math.sqrt(r) * x;
    return ((1 + r * x) * (1 + beta * (tan - Math.atan(tan)))) / (1 + r * x * x);
  });
  /** The largest C₁ on the slow manifold. */
  const overshoot = law((s) => {
    let [low, high] = [0, 2 + Math.log(1 + s.r)];
    for (let n = 0; n < 99; n++) {
      const third = (high - low) / 3;
      if (slowManifold(s, low + third) < slowManifold(s, high - third)) low += third; else high -= third;
    }
    return slowManifold(s, low);
  }, 1);
  /** τ = T/T* at which the gap is reached with C₁ at rest on its slow manifold. Derived in paper/sharp-law. */
  const slowTime = law((s, gap) => spent(s, 0, 0, reach(gap)), 1);
  /** s(gap): C₁ trails its slow manifold, which delays the gap by s/η steps. Derived in paper/corrections. */
  const lag = law((s, gap) => 1 / s.a + spent(s, 1, 0, reach(gap)), 1);
  /** Steps until the gap is reached. */
  const arrival = (scalars, gap) => escapeTime(scalars) * slowTime(scalars, gap) + lag(scalars, gap) / scalars.eta;
  /** Steps until half of the attention is on the support, gap = ln r; needs 2K < D. */
  const halfAttentionTime = law((s) => {
    real("K/D", s.K / s.D, { most: 0.5 - 1e-9 });
    return arrival(s, Math.log(s.r));
  });
  /** The identity's run in closed form at step T > 1/η, a Fermi function of gap − ½ ln r. From paper/corrections. */
  const closedForm = law((s, T) => {
    const { D, K, V_norm_sq, slope, r } = s, tau = step(T) / escapeTime(s);
    real("slope", slope, { least: 1 });
    const most = 1 + Math.abs(Math.log(r)) + 0.5 * Math.asinh(((1 + r) ** 2 * tau) / r + r + 1 / r);
    const gap = bisect((gap) => arrival(s, gap) >= T, 0, most), fermi = 1 / (1 + Math.exp(2 * gap) / r);
    return { t: T, C1: slowManifold(s, gap), gap, excess_loss: ((V_norm_sq * D) / (2 * K)) * fermi };
  }, 1);
  /** K D (D−K)/(4ηT), the late excess loss for every σ and V*. */
  const lateLoss = law(({ D, K, eta }, T) => (K * D * (D - K)) / (4 * eta * step(T)));
  /** What a run tends to at step T, by the names of its columns; w = (1+r)√(2aτ/r), and θ → 1/w. */
  const late = law((s, T) => {
    const { D, K, V_norm_sq, r, a } = s, w = (1 + r) * Math.sqrt((2 * a * step(T)) / (r * escapeTime(s)));
    const off_support = Math.sqrt(r) / w, score_error = (off_support * D) / Math.sqrt(K * (D - K));
    const [value_error, gap] = [off_support * Math.sqrt(V_norm_sq), Math.log(Math.sqrt(r) * w)];
    return { excess_loss: lateLoss(s, T), off_support, value_error, score_error, gap };
  }, 1);
  /**
   * The late law's relative correction at step T ≥ 1: the loss is lateLoss times 1 + this + smaller terms. A quadrature
   * over θ of laws.next_order is taken over the gap where θ > ½. Derived in paper/corrections.
   */
  const nextOrder = law((s, T) => {
    const { eta, r, a, beta } = s, { sin, cos, tan } = Math, start = Math.atan(Math.sqrt(r));
    const split = Math.min(start, 0.5);
    const { gap } = late(s, step(T, 1)), log_w = gap - Math.log(r) / 2, w = Math.exp(log_w), to_log = 2 + beta * beta;
    const regular = integral((theta) => {
      const speed = (1 - beta * theta) * (1 + beta * (tan(theta) - theta));
      return 1 / ((sin(theta) * cos(theta)) ** 3 * speed) - (1 / theta + beta) / theta ** 2 - to_log / theta;
    }, 0, split);
    const A = ((a * (1 + r) ** 2) / r) * spent(s, 0, 0, Math.log(tan(start) / tan(split))) + regular
      + to_log * Math.log(split) - 0.5 / split ** 2 - beta / split;
    const C = cos(start) + beta * angleDefect(start, sin(start), cos(start));
    const first = sin(start) ** 2 * cos(start) * (1 - beta * start) * C;
    return (4 * beta) / (3 * w) + (2 * A - 1 / 3 + 2 * to_log * log_w) / w ** 2
      + (lag(s, Math.max(0, gap)) / eta - log_w - 0.5 * Math.log(first)) / T;
  }, 1);
  /** The run before it is run, on the slow manifold: t, gap, C1, excess_loss at even gaps until step `until`. */
  const course = law((s, until) => {
    const h = Math.max(1, late(s, until).gap + 1) / 600, gap = Float64Array.from({ length: 601 }, (_, row) => row * h);
    const C1 = gap.map((g) => slowManifold(s, g)), Tstar = escapeTime(s);
    let t = 1 / (s.a * s.eta);
    const times = gap.map((g) => (t += g && Tstar * spent(s, 0, g - h, g) + spent(s, 1, g - h, g) / s.eta));
    return { t: times, gap, C1, excess_loss: gap.map((g, row) => scalarLoss(s, C1[row], g)) };
  }, 1);
  /** δ where attention stops past η_max: the curvature in C₁ is 2/η, (1−δ)² + δ²/r = η_max/η. NaN where C₁ diverges. */
  const edge = law((s) => {
    const both = 1 + 1 / s.r;
    return (1 - Math.sqrt(1 - both * (1 - largestStableEta(s) / s.eta))) / both;
  }, 1);

  /** S* by columns: `counts` of positive entries, `sums`; `least` entry; ‖S*‖_F²; K, NaN where not K of 1/K each. */
  const columns = (S_star) => {
    const D = S_star?.length, T = turned(matrix("S_star", S_star, D, D), D), all = rowsOf(T, D);
    const counts = all.map((column) => sum(column, (entry) => Number(entry > 0))), K = counts[0];
    const uniform = counts.every((count) => count === K) && T.every((s) => Math.abs(s - (s > 0 && 1 / K)) <= 1e-6 / K);
    const sums = all.map((column) => sum(column));
    return { counts, sums, least: Math.min(...T), norm_sq: sum(T, square), K: K && uniform ? K : NaN };
  };
  /** Σ_i K_i(D−K_i)/(4ηT): a zero of S* ≥ 0, whose columns sum to one, costs K_i/(4ηT). Derived in paper/sharp-law. */
  const mixedLateLoss = ({ S_star, eta }, T) => {
    const { counts, sums, least } = columns(S_star);
    real("the least entry of S_star", least, { least: 0 });
    for (const total of sums) real("the sum of a column of S_star", total, { least: 1 - 1e-6, most: 1 + 1e-6 });
    return sum(counts, (K) => K * (counts.length - K)) / (4 * real("eta", eta, POSITIVE) * step(T));
  };
  /**
   * The excess loss of an identity teacher's best student, ½‖V*‖²‖Q − S*‖² with Q ≥ 0 of equal column sums c: this is
   * max(S* + λ_i, 0), a shift λ_i a column, Σλ_i = 0; or the same of −S*. floors.best_student; paper/irregular-graphs.
   */
  const bestLoss = (teacher) => {
    const { D, V, T, slope } = teacherOf(Object(teacher));
    real("slope", slope, { least: 1 });
    const apart = [1, -1].map((sign) => {
      const all = rowsOf(T, D).map((column) => column.map((entry) => -sign * entry).sort().map((entry) => -entry));
      const shift = (column, c) => { // all of them in descending order: λ is the least of (c − the sum of k)/k
        let total = 0;
        return Math.min(...column.map((entry, k) => (c - (total += entry)) / (k + 1)));
      };
      const high = Math.max(...all.map((column) => sum(column, (entry) => Math.max(entry, 0))));
      const c = bisect((c) => sum(all, (column) => shift(column, c)) >= 0, 0, high);
      const lost = (column, by) => sum(column, (entry) => square(Math.max(entry + by, 0) - entry));
      return sum(all, (column) => lost(column, shift(column, c)));
    });
    return 0.5 * sum(V, square) * Math.min(...apart);
  };

  // --- teachers: teachers.py -------------------------------------------------------------------------------------
  const scores = (D, entry) =>
    rowsOf(Float64Array.from({ length: D * D }, (_, p) => entry(Math.floor(p / D), p % D)), D);
  /** mulberry32: numbers in [0, 1), the same for a seed on every machine. */
  const uniforms = (seed) => {
    let state = real("seed", seed, { least: 0, most: 2 ** 32 - 1, whole: true });
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  };
  /** `rows` × `columns` draws of N(0, scale²), by Box and Muller: a V*, or a random start of W_V or W_KQ. */
  const normals = (seed, rows, columns, scale = 1) => {
    const next = uniforms(seed), size = real("scale", scale, { least: 0 });
    for (const side of [rows, columns]) real("a side", side, SIZE);
    const draw = () => size * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    return rowsOf(Float64Array.from({ length: rows * columns }, draw), columns);
  };
  /** A partition of D tokens into groups of K, the last of what is left: in order, or scattered by a seed. */
  const groups = (D, K, seed) => {
    real("K", K, { ...SIZE, most: real("D", D, SIZE) });
    const order = Array.from({ length: D }, (_, i) => i), next = seed === undefined ? null : uniforms(seed);
    for (let i = D - 1; next && i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return Array.from({ length: Math.ceil(D / K) }, (_, g) => order.slice(g * K, (g + 1) * K));
  };
  /** Example 2.1: column i of S* is 1_g/|g|, g the group of token i. `partition`: lists, each of D tokens in one. */
  const convolution = (D, partition) => {
    real("D", D, SIZE);
    const parts = list("groups", partition, (group) => tokens("a group", group, D)), all = parts.flat();
    if (all.length !== D || new Set(all).size !== D) refuse("groups", `a partition of ${D} tokens`, all);
    const group = all.map((_, i) => parts.find((part) => part.includes(i)));
    return scores(D, (j, i) => group[i].includes(j) / group[i].length);
  };
  /** The edges of a ring: each of D nodes and its K − 1 nearest, K odd. */
  const ring = (D, K) => {
    real("K", K, { ...SIZE, most: real("D", D, SIZE) });
    const reach = real("(K − 1)/2", (K - 1) / 2, COUNT);
    return Array.from({ length: D * reach }, (_, n) => [n % D, (n + 1 + Math.floor(n / D)) % D]);
  };
  /** Example 2.2 on any graph, `edges` its pairs of nodes: D̃^{-1/2} Ã D̃^{-1/2}; "walk": Ã D̃^{-1}. graph_scores. */
  const graphConvolution = (D, edges, normalisation = "symmetric") => {
    const near = Array.from({ length: real("D", D, SIZE) }, (_, i) => new Set([i]));
    if (!["symmetric", "walk"].includes(normalisation)) refuse("normalisation", '"symmetric" or "walk"', normalisation);
    for (const [i, j, ...more] of list("edges", edges, (edge) => tokens("an edge", edge, D))) {
      if (i === j || j === undefined || more.length) refuse("an edge", "two nodes", `${[i, j, ...more]}`);
      near[i].add(j);
      near[j].add(i);
    }
    const weight = (j, i) => (normalisation === "walk" ? near[i].size : Math.sqrt(near[i].size * near[j].size));
    return scores(D, (j, i) => near[i].has(j) / weight(j, i));
  };
  /** Example 2.3: every output is the mean of the tokens at `positions`. */
  const tokenSelection = (D, positions) => {
    const chosen = new Set(tokens("positions", positions, real("D", D, SIZE)));
    if (!chosen.size || chosen.size !== positions.length) refuse("positions", "some tokens, each once", `${positions}`);
    return scores(D, (j) => chosen.has(j) / chosen.size);
  };
  /** Example 2.5: the token at `position` alone, K = 1. */
  const groupSparse = (D, position) => tokenSelection(D, [position]);
  /** D × D `levels`, row by row, in units of 1/K; `scaled`: a column of positive sum is divided by its sum. */
  const painted = (D, K, levels, scaled = false) => {
    const unit = 1 / real("K", K, { ...SIZE, most: real("D", D, SIZE) });
    const flat = list("levels", levels, (level) => real("a level", level));
    if (flat.length !== D * D) refuse("levels", `a list of ${D * D}`, flat);
    const totals = Array.from({ length: D }, (_, i) => sum(flat, (level, p) => (p % D === i ? level : 0)));
    return scores(D, (j, i) => flat[j * D + i] * (scaled && totals[i] > 0 ? 1 / totals[i] : unit));
  };

  return {
    activation, gradients, descent, population, force, twoScalars, scalars, scalarLoss,
    escapeTime, largestStableEta, slowManifold, overshoot, slowTime, lag, arrival, halfAttentionTime,
    closedForm, lateLoss, late, nextOrder, course, edge, columns, mixedLateLoss, bestLoss,
    uniforms, normals, groups, convolution, ring, graphConvolution, tokenSelection, groupSparse, painted,
  };
};

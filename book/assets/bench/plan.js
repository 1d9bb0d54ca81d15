// What is known of a run before it is run: its steps, its laws, its floor, and the axes on which all of it is drawn.
const benchPlans = (m, states) => {
  "use strict";
  const HORIZON = 300; // a run ends after so many T*
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const FAR = 2; // up to so many η_max δ was measured, in paper/corrections
  const LOOKS = 3000; // so many steps the two scalars take themselves; after them the slow manifold is close enough

  /**
   * The run of the two scalars: `t` and `excess_loss` at marks, from their own first steps and then, where K < D, on
   * the slow manifold; `half`, the step where half of the attention has arrived, and `peak`, the greatest C₁.
   */
  const foreseen = (scalars, until) => {
    const map = m.twoScalars(scalars),
      last = Math.min(LOOKS, Math.ceil(until)),
      target = Math.log((scalars.D - scalars.K) / scalars.K);
    const found = { t: [], excess_loss: [], half: NaN, peak: 0 };
    const keep = (t, excess_loss) => {
      found.t.push(t);
      found.excess_loss.push(excess_loss);
    };
    for (let t = 1, mark = 1; t <= last; t++) {
      const before = map.gap;
      map.advance(1);
      found.peak = Math.max(found.peak, map.C1);
      if (before < target && map.gap >= target) found.half = t - 1 + (target - before) / (map.gap - before);
      if (t < mark) continue;
      keep(t, map.excess_loss);
      mark = Math.max(t + 1, Math.round(1.05 * t));
    }
    if (scalars.K === scalars.D) return found;
    const slow = m.course(scalars, 1.2 * until);
    slow.t.forEach((t, row) => {
      if (t <= last) return;
      keep(t, slow.excess_loss[row]);
      found.peak = Math.max(found.peak, slow.C1[row]);
    });
    if (!(found.half > 0) && target > 0) found.half = m.arrival(scalars, target);
    return found;
  };
  /** What is foreseen of the loss at step T, between two marks on log axes. */
  const lossAt = ({ t, excess_loss }, T) => {
    const next = t.findIndex((mark) => mark >= T);
    if (next <= 0) return next === 0 ? excess_loss[0] : NaN;
    const share = Math.log(T / t[next - 1]) / Math.log(t[next] / t[next - 1]);
    return excess_loss[next - 1] * (excess_loss[next] / excess_loss[next - 1]) ** share;
  };

  /** The loss where attention is frozen at 1/D and W_V has learned what it can; NaN where we know none. */
  const frozenLoss = (task, scalars, shape, V_sq) => {
    if (scalars) return m.scalarLoss(scalars, m.slowManifold(scalars, 0), 0);
    const total = sum(shape.sums) / task.S_star.length;
    return task.slope === 1 ? 0.5 * V_sq * (shape.norm_sq - total ** 2) : NaN;
  };

  /**
   * `law`: the late loss is law/T, NaN where none is known; `next(T)`: its next order; `foreseen`: the curve of two
   * scalars; `floor`: the least loss, or that of frozen attention; `half`: when half of the attention arrives, in T*;
   * `off`: what stays off the support past η_max; `scalars`: null where two numbers do not hold the run; `until`: its last step.
   */
  return (state) => {
    const task = states.taskOf(state),
      shape = m.columns(task.S_star),
      D = state.D;
    const V_sq = sum(task.V_star.map((row) => sum(row.map((entry) => entry ** 2))));
    const { a } = m.activation(state.k),
      eta = state.e * (2 / (a * Math.max(1, shape.norm_sq))); // ‖S‖² ≥ 1 for every softmax
    const K = shape.K || D / shape.norm_sq,
      r = (D - K) / K,
      frozen = !state.q,
      random = state.r > 0;
    const zeros = sum(shape.counts.map((count) => count * (D - count)));
    const equal = shape.sums.every((total) => Math.abs(total - 1) < 1e-9);
    const plan = {
      state,
      task,
      shape,
      D,
      K,
      r,
      V_sq,
      eta,
      eta_max: eta / state.e,
      frozen,
      random,
      eta_KQ: frozen ? 0 : eta,
      count: task.V_star.length * state.d + D * D,
      T_star: (K * D * D) / (eta * V_sq),
      uniform: Number.isFinite(shape.K),
      inside: shape.least >= 0 && equal, // what a softmax can come near to
      all: shape.counts.every((count) => count === D),
      past: state.e > 1 && !frozen,
      first: 0.5 * a * V_sq * shape.norm_sq,
      until: 0,
      law: NaN,
      next: null,
      foreseen: null,
      lossAt: () => NaN,
      floor: NaN,
      half: NaN,
      off: NaN,
      peak: NaN,
      scalars: null,
    };
    const until = HORIZON * plan.T_star,
      scalars = { D, K: shape.K, V_norm_sq: V_sq, eta, slope: state.k };
    plan.until = Math.ceil(until);
    if (plan.uniform) plan.scalars = scalars;
    if (frozen) plan.floor = random || a * eta >= 2 ? NaN : frozenLoss(task, plan.scalars, shape, V_sq);
    else if (plan.inside && zeros > 0) plan.law = zeros / (4 * eta);
    else if (!plan.inside && state.k === 1) plan.floor = m.bestLoss(task);
    if (plan.uniform && !frozen && !random && !plan.past) {
      plan.foreseen = foreseen(scalars, until);
      [plan.peak, plan.half] = [plan.foreseen.peak, plan.foreseen.half / plan.T_star];
      plan.lossAt = (T) => lossAt(plan.foreseen, T);
      if (!plan.all) plan.next = (T) => m.nextOrder(scalars, T);
    }
    if (plan.uniform && !plan.all && plan.past && state.e <= FAR) plan.off = m.edge(scalars);
    const lowest =
      plan.inside && zeros > 0
        ? zeros / (4 * eta) / until / 8
        : plan.floor > 0
          ? plan.floor / 12
          : plan.first * (plan.all ? 1e-12 : 1e-5);
    const late_gap = plan.all ? 0 : 0.5 * Math.log((2 * a * eta * V_sq * until) / K ** 3) + 0.3;
    plan.axes = {
      tau: [Math.min(0.3, 1 / plan.T_star), HORIZON],
      loss: [
        Math.max(lowest, plan.first * (plan.all ? 1e-12 : 1e-7)),
        1.5 * V_sq * shape.norm_sq * (1 + 3 * state.r ** 2),
      ], // the same for every κ
      gap: [random ? -2 : -0.25, plan.all ? 3 : Math.max(1.2 * Math.log(Math.max(r, 1.5)), late_gap, 1)],
    };
    let most = plan.past ? 1.4 * Math.sqrt(state.e) : 1.3;
    const manifold = { ...scalars, K: Math.min(D, Math.max(1, Math.round(K))) };
    if (!plan.all)
      for (let gap = 0; gap < plan.axes.gap[1]; gap += 0.1) most = Math.max(most, m.slowManifold(manifold, gap));
    plan.axes.C1 = [0, 1.18 * most];
    return plan;
  };
};

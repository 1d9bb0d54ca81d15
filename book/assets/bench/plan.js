// What is known of a run before it is run: its steps, its laws, its floor, and the axes on which all of it is drawn.
const benchPlans = (m, states) => {
  "use strict";
  const HORIZON = 300; // a run ends after so many T*
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const LOOKS = 3000; // so many steps the two scalars take themselves; after them the slow manifold is close enough

  /** Loss and time of the two scalars: their own first steps, then the run on the slow manifold. */
  const foreseen = (scalars, until) => {
    const slow = m.course(scalars, 1.2 * until), map = m.twoScalars(scalars), last = Math.min(LOOKS, Math.ceil(until));
    const t = [], excess_loss = [];
    for (let mark = 1; mark <= last; mark = Math.max(mark + 1, Math.round(1.05 * mark))) {
      map.advance(mark - map.t);
      t.push(map.t);
      excess_loss.push(map.excess_loss);
    }
    slow.t.forEach((step, row) => {
      if (step <= last) return;
      t.push(step);
      excess_loss.push(slow.excess_loss[row]);
    });
    return { t, excess_loss, peak: Math.max(...slow.C1) };
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
   * `off`: what stays off the support past η_max; `scalars`: null where two numbers do not hold the run.
   */
  return (state) => {
    const task = states.taskOf(state), shape = m.columns(task.S_star), D = state.D;
    const V_sq = sum(task.V_star.map((row) => sum(row.map((entry) => entry ** 2))));
    const a = 0.5 * (1 + state.k ** 2), eta_max = 2 / (a * shape.norm_sq), eta = state.e * eta_max;
    const K = shape.K || D / shape.norm_sq, r = (D - K) / K, frozen = !state.q, random = state.r > 0;
    const zeros = sum(shape.counts.map((count) => count * (D - count)));
    const equal = shape.sums.every((total) => Math.abs(total - 1) < 1e-9);
    const plan = {
      state, task, shape, D, K, r, V_sq, eta, eta_max, frozen, random, eta_KQ: frozen ? 0 : eta,
      count: task.V_star.length * state.d + D * D, T_star: (K * D * D) / (eta * V_sq),
      uniform: Number.isFinite(shape.K), inside: shape.least >= 0 && equal, // what a softmax can come near to
      all: K > D - 1e-9, past: state.e > 1 && !frozen, first: 0.5 * a * V_sq * shape.norm_sq,
      law: NaN, next: null, foreseen: null, floor: NaN, half: NaN, off: NaN, peak: NaN, scalars: null,
    };
    const until = HORIZON * plan.T_star, scalars = { D, K: shape.K, V_norm_sq: V_sq, eta, slope: state.k };
    if (plan.uniform) plan.scalars = scalars;
    if (frozen) plan.floor = random ? NaN : frozenLoss(task, plan.scalars, shape, V_sq);
    else if (plan.inside && zeros > 0) plan.law = zeros / (4 * eta);
    else if (!plan.inside && state.k === 1) plan.floor = m.bestLoss(task);
    if (plan.uniform && !plan.all && !frozen) {
      plan.next = plan.past || random ? null : (T) => m.nextOrder(scalars, T);
      if (plan.past) plan.off = m.edge(scalars);
      else if (!random) {
        plan.foreseen = foreseen(scalars, until);
        plan.peak = plan.foreseen.peak;
        if (r > 1) plan.half = m.arrival(scalars, Math.log(r)) / plan.T_star;
      }
    }
    const lowest = plan.inside && zeros > 0 ? zeros / (4 * eta) / until / 8 : plan.floor > 0 ? plan.floor / 12 : plan.first * 1e-5;
    const late_gap = plan.all ? 0 : 0.5 * Math.log((2 * a * eta * V_sq * until) / K ** 3) + 0.3;
    plan.axes = {
      tau: [Math.min(0.3, 1 / plan.T_star), HORIZON],
      loss: [Math.max(lowest, plan.first * 1e-7), 1.5 * V_sq * shape.norm_sq * (1 + 3 * state.r ** 2)], // the same for every κ
      gap: [random ? -2 : -0.25, plan.all ? 3 : Math.max(1.2 * Math.log(Math.max(r, 1.5)), late_gap, 1)],
    };
    let most = plan.past ? 1.4 * Math.sqrt(state.e) : 1.3;
    const manifold = { ...scalars, K: Math.min(D, Math.max(1, Math.round(K))) };
    if (!plan.all) for (let gap = 0; gap < plan.axes.gap[1]; gap += 0.1) most = Math.max(most, m.slowManifold(manifold, gap));
    plan.axes.C1 = [0, 1.18 * most];
    return plan;
  };
};

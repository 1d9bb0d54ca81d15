// What a bench says: numbers as in print, a sentence for every stage of a run, a table beside it, and what to try.
const benchWords = (() => {
  "use strict";
  const raised = (n) => String(n).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);
  const number = (value, digits = 3) => {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value), sign = value < 0 ? "−" : "";
    if (size < 1e5 && size >= 1e-3) return sign + size.toLocaleString("en", { maximumSignificantDigits: digits });
    const [digit, power] = size.toExponential(1).split("e");
    return `${sign}${digit} · 10${raised(Number(power))}`;
  };
  const whole = (value) => (value < 1e9 ? Math.round(value).toLocaleString("en") : number(value));
  const percent = (value) => `${Math.round(100 * value)}\u00a0%`;
  const strong = (words) => `‹${words}›`; // the page makes it bold
  const late = (plan, row) => (row.excess_loss * row.t) / plan.law;
  const ofLaw = (plan, row) => {
    const ratio = late(plan, row);
    const more = Math.abs(ratio - 1) < 0.05 ? `: one line of algebra, ${whole(plan.count)} parameters` : ", and closing in";
    return `The loss is ${strong(`${number(ratio)}\u00a0×`)} the late law${more}.`;
  };

  /** What stands on the page before a run. */
  const opening = (plan) => {
    const move = "Change anything: it moves at once, and the run follows it.";
    if (plan.foreseen) return `The pale line is predicted from two numbers, before the run. ${move}`;
    if (plan.floor > 0) return `The dotted line is the least loss ${plan.frozen ? "of attention that is frozen" : "that any softmax leaves"}. ${move}`;
    if (plan.past) return "Past η_max no line is foretold: two numbers alone do not hold such a run.";
    if (plan.law > 0) return `Two numbers do not hold this run, so there is no pale line; the dashed law is known all the same. ${move}`;
    return "Of this run no law is known beforehand: its absence says so.";
  };

  /** The stage of a run in a sentence: `row` is what is shown, `events` what has happened: half, near, peak. */
  const sentence = (plan, row, events, stopped) => {
    const tau = row.t / plan.T_star, on = strong(percent(row.support_mass)), law = plan.law > 0 && tau > 2 ? ofLaw(plan, row) : "";
    const half = plan.half > 0 ? `, predicted ${number(plan.half)}` : "";
    if (stopped) return `The run left every bound at step ${whole(row.t)}: the step is too large. Take a smaller η.`;
    if (row.t === 0) return plan.random
      ? `All weights are random, of size ${number(plan.state.r)}. The two scalars know nothing of such a start. Press Play.`
      : `All weights are zero: every output spreads its attention evenly, 1/${plan.D} a token. The teacher reads ${plan.uniform ? plan.K : "the outlined"} of ${plan.D}. Press Play.`;
    if (plan.all) return "K = D: the teacher reads everything, so there is nothing to find. Only C₁ moves, and the loss falls exponentially.";
    if (plan.frozen) {
      const where = plan.random ? "at its random start" : `at 1/${plan.D}`;
      if (!(Math.abs(row.excess_loss / plan.floor - 1) < 0.02)) return `The attention is frozen ${where}. Only W_V learns.`;
      return `The attention is frozen ${where}. C₁ has come to rest at ${strong(number(row.C1))}, the best that W_V can do, and the loss stays at ${strong(number(row.excess_loss))}, predicted ${number(plan.floor)}.`;
    }
    if (plan.past && tau > 2) {
      const told = plan.off > 0 ? ` (predicted about ${number(plan.off, 2)})` : "";
      return `η is ${number(plan.state.e)} η_max. Full attention would be too steep for this step, so attention stops short: ${strong(number(1 - row.support_mass, 2))} of it stays off the support${told}, and the late law does not hold.`;
    }
    if (!plan.inside) {
      const why = plan.shape.least < 0 ? "a score is negative" : "its columns do not sum to one";
      const best = plan.floor > 0 ? `, ${number(row.excess_loss / plan.floor)} × the least that any softmax leaves (${number(plan.floor)})` : "";
      return tau > 2 ? `No softmax makes these scores: ${why}. The loss is ${strong(number(row.excess_loss))}${best}.`
        : `No softmax makes these scores: ${why}. So some of the loss must stay.`;
    }
    if (plan.D <= 2 * plan.K && !plan.random) return `At least half of the attention is on the support from the start; now ${on}. ${law}`;
    if (!events.half || tau < events.half) {
      const still = row.support_mass < (1.25 * plan.K) / plan.D && !plan.random;
      return still ? `W_V already points along V* (cosine ${strong(row.cosine.toFixed(3))}), but the attention has hardly moved: ${on} on the support.${plan.half > 0 ? ` Half of it is predicted at ${number(plan.half)} T*.` : ""}`
        : `The attention is moving: ${on} on the support${plan.half > 0 ? `, half predicted at ${number(plan.half)} T*` : ""}. ${law}`;
    }
    const rose = events.peak > 1.001 ? `C₁ went up to ${number(events.peak)} to make up for what W_V reads amiss.` : "";
    return `Half of the attention arrived at ${strong(`${number(events.half)} T*`)}${half}; now ${on} is there. ${law || rose}`;
  };

  /** The table: [what, in the run, predicted]. */
  const readings = (plan, row, events) => {
    const next = plan.next && row.t > plan.T_star ? plan.next(row.t) : NaN, known = plan.law > 0 && row.t;
    const foretold = known ? number((plan.law / row.t) * (Math.abs(next) < 0.6 ? 1 + next : 1)) : plan.floor > 0 ? number(plan.floor) : "–";
    const support = plan.off > 0 ? `about ${percent(1 - plan.off)}` : plan.frozen || !plan.inside || plan.past ? "–" : "to 100\u00a0%";
    const apart = row.beside ? Math.abs(row.excess_loss / row.beside.excess_loss - 1) : NaN;
    return [
      ["step T", whole(row.t), `T* = ${whole(plan.T_star)}`],
      ["half of the attention at", events.half ? `${number(events.half)} T*` : "–", plan.half > 0 ? `${number(plan.half)} T*` : "–"],
      ["on the support", percent(row.support_mass), support],
      ["cosine of W_V and V*", row.cosine.toFixed(4), "1"],
      ["greatest C₁ so far", number(events.peak), number(plan.peak)],
      [known && Math.abs(next) < 0.6 ? "loss; late law and next order" : "loss; what is known of it", number(row.excess_loss), foretold],
      [`two numbers, or all ${whole(plan.count)}`, row.beside ? `differ by ${apart < 1e-15 ? "0" : number(apart, 1)}` : "they part", row.beside ? "0" : "–"],
    ];
  };

  // --- try this: what to set, what to look for, and what was seen, once it was --------------------------------------
  const BASE = { t: "conv", D: 36, K: 4, k: 1, e: 0.5, q: 1, M: 4, d: 8, s: 1, r: 0, x: 0, n: 1, p: null, g: null, j: null };
  const grouped = (D, K, edit) => {
    const p = Uint8Array.from({ length: D * D }, (_, n) => Number(Math.floor(n / D / K) === Math.floor((n % D) / K)));
    edit((j, i, code) => { p[j * D + i] = code; });
    return p;
  };
  const star = (D, pairPlace) => { // a ring and a hub: node 0 is joined to every third
    const g = new Uint8Array((D * (D - 1)) / 2);
    for (let i = 0; i < D; i++) g[pairPlace(D, i, (i + 1) % D)] = 1;
    for (let i = 3; i < D - 1; i += 3) g[pairPlace(D, 0, i)] = 1;
    return g;
  };
  const nearLaw = (plan, events) => `The loss is within 5 % of the late law at ${number(events.near)} T*`;
  const TRY = [
    { name: "Start here", set: () => BASE,
      look: "Three acts. W_V finds its direction at once; the attention waits until about T*; then the loss falls on a line that was known beforehand.",
      seen: (row, plan, events) => events.half && events.near && `Half of the attention arrived at ${number(events.half)} T*, predicted ${number(plan.half)}. ${nearLaw(plan, events)}.` },
    { name: "κ = 0: ReLU waits", set: () => ({ ...BASE, k: 0 }), beside: () => BASE,
      look: "The grey line is the identity. ReLU’s attention takes more than twice as long to arrive, and yet the loss ends on the same law.",
      seen: (row, plan, events, other) => events.half && events.near && `Half of the attention arrived at ${number(events.half)} T*, predicted ${number(plan.half)}; the identity needs ${number(other.half)}. ${nearLaw(plan, events)}.` },
    { name: "Push η past η_max", set: () => ({ ...BASE, D: 24, e: 1.6 }),
      look: "Above η_max = 2K/(aD) full attention is too steep for the step. The loss leaves the dashed law, and attention stops short.",
      seen: (row, plan) => row.t > 4 * plan.T_star && late(plan, row) > 3 && `At ${number(row.t / plan.T_star)} T* the loss is ${number(late(plan, row))} × the law, and ${number(1 - row.support_mass, 2)} of the attention is off the support, predicted about ${number(plan.off, 2)}.` },
    { name: "Freeze the attention", set: () => ({ ...BASE, q: 0 }), beside: () => BASE,
      look: "Only W_V learns. Its cosine with V* goes to one, and the loss hardly falls: everything is in the attention.",
      seen: (row, plan) => Math.abs(row.excess_loss / plan.floor - 1) < 1e-4 && `The loss stays at ${number(row.excess_loss, 4)}, predicted ${number(plan.floor, 4)}, with a cosine of ${row.cosine.toFixed(4)}.` },
    { name: "A graph with a hub", set: ({ pairPlace }) => ({ ...BASE, t: "graph", D: 16, g: star(16, pairPlace) }),
      look: "Node 0 has more neighbours than the others, so its columns do not sum to one. Softmax’s do: a floor remains, and it is known. Drag from node to node to join or part them.",
      seen: (row, plan) => row.excess_loss < 1.1 * plan.floor && `The loss is ${number(row.excess_loss)}, ${number(row.excess_loss / plan.floor)} × the least that any softmax leaves.` },
    { name: "One column of another K", set: () => ({ ...BASE, t: "paint", D: 24, p: grouped(24, 4, (put) => { for (let j = 0; j < 16; j++) put(j, 11, 1); }) }),
      look: "Output 11 reads 16 tokens, the others 4. Two numbers no longer hold the run. Yet the law only counts the zeros of each column: Σ Kᵢ(D − Kᵢ)/(4ηT).",
      seen: (row, plan, events) => events.near && `${nearLaw(plan, events)}, with the zeros of each column counted.` },
    { name: "A score that softmax cannot make", set: () => ({ ...BASE, t: "paint", D: 24, n: 0, p: grouped(24, 4, (put) => put(20, 5, 2)) }),
      look: "Output 5 wants one score of −¼. Softmax makes none below zero, so the loss has a floor, and it is known.",
      seen: (row, plan) => row.excess_loss < 1.1 * plan.floor && `The loss is ${number(row.excess_loss)}, ${number(row.excess_loss / plan.floor)} × the floor ${number(plan.floor)}.` },
    { name: "A random start", set: () => ({ ...BASE, r: 1 }),
      look: "Two numbers say nothing of this start. The late law does not ask where a run began.",
      seen: (row, plan, events) => events.near && `${nearLaw(plan, events)}, from weights of size ${number(plan.state.r)}.` },
  ];

  return { number, whole, percent, opening, sentence, readings, TRY, late };
})();

// What a bench says: numbers as in print, a sentence for every stage of a run, a table beside it, and what to try.
const benchWords = (() => {
  "use strict";
  const raised = (n) => String(n).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);
  /** A setting, or a number of the run; `measured` keeps the zeros at its end. */
  const number = (value, digits = 3, least = 1) => {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value),
      sign = value < 0 ? "−" : "",
      count = { maximumSignificantDigits: digits, minimumSignificantDigits: least };
    if (size < 1e5 && size >= 1e-3) return sign + size.toLocaleString("en", count);
    const [digit, power] = size.toExponential(1).split("e");
    return `${sign}${digit} · 10${raised(Number(power))}`;
  };
  const measured = (value, digits = 3) => number(value, digits, digits);
  const cosine = (value) => value.toFixed(4).replace("-", "−");
  const whole = (value) => (value < 1e9 ? Math.round(value).toLocaleString("en") : number(value));
  const percent = (value) => `${Math.round(100 * value)}\u00a0%`;
  const strong = (words) => `‹${words}›`; // the page makes it bold
  const late = (plan, row) => (row.excess_loss * row.t) / plan.law;
  /** How the loss stands to its law; `before` is an earlier row. */
  const ofLaw = (plan, row, before) => {
    const ratio = late(plan, row),
      closer = before?.t > plan.T_star && Math.abs(ratio - 1) < Math.abs(late(plan, before) - 1);
    const more =
      Math.abs(ratio - 1) < 0.05
        ? `: one line of algebra, ${whole(plan.count)} parameters`
        : closer
          ? ", and closing in"
          : "";
    return `The loss is ${strong(`${measured(ratio)}\u00a0×`)} the late law${more}.`;
  };

  /** What stands on the page before a run. */
  const opening = (plan) => {
    const move = "Change anything: it moves at once, and the run follows it.";
    if (plan.all) return `K = D: only C₁ moves. The pale line is predicted before the run. ${move}`;
    if (plan.foreseen) return `The pale line is predicted from two numbers, before the run. ${move}`;
    if (plan.floor > 0)
      return `The dotted line is the loss ${plan.frozen ? "that frozen attention leaves" : "that the best softmax leaves"}. ${move}`;
    if (plan.off > 0)
      return `Past η_max rounding errors grow, so no pale line is drawn. What is foretold is where the attention stops: about ${number(plan.off, 2)} short of all.`;
    if (plan.random)
      return `Two numbers do not hold a run from a random start, so there is no pale line; ${plan.law > 0 ? "runs tend to the dashed law all the same, as far as we saw" : "no law is known"}. ${move}`;
    if (plan.law > 0 && !plan.past)
      return `The columns of S* are not all alike, so two numbers do not hold this run, and there is no pale line; the dashed law is known all the same. ${move}`;
    return "Of this run we predict nothing beforehand.";
  };

  /** The stage of a run in a sentence: `row` is what is shown, `first` the row of step 0, `before` an earlier one. */
  const sentence = (plan, row, { first, before, half, stopped }) => {
    const tau = row.t / plan.T_star,
      on = strong(percent(row.support_mass)),
      law = plan.law > 0 && tau > 2 ? ` ${ofLaw(plan, row, before)}` : "";
    const foretold = plan.half > 0 ? `, predicted ${measured(plan.half)}` : "",
      loss = strong(measured(row.excess_loss));
    if (stopped) return `The run left every bound at step ${whole(row.t)}: the step is too large. Take a smaller η.`;
    if (row.t === 0) {
      const reads = plan.uniform
        ? `The teacher reads ${plan.K} of ${plan.D}.`
        : "The outlined scores are what the teacher reads.";
      return plan.random
        ? `All weights are random, of size ${number(plan.state.r)}. Press Play.`
        : `All weights are zero: every output spreads its attention evenly, 1/${plan.D} a token. ${reads} Press Play.`;
    }
    if (plan.all)
      return `K = D: the teacher reads everything, so there is nothing to find. Only C₁ moves, and the loss falls exponentially; now it is ${loss}.`;
    if (plan.frozen) {
      const where = `The attention is frozen ${plan.random ? "at its random start" : `at 1/${plan.D}`}.`;
      if (!(row.excess_loss - plan.floor < 1e-3 * (plan.first - plan.floor)))
        return `${where} Only W_V learns, with a cosine of ${strong(cosine(row.cosine))}.`;
      return `${where} C₁ has come to rest at ${strong(measured(row.C1))}, the best that W_V can do, and the loss stays at ${loss}, predicted ${measured(plan.floor)}.`;
    }
    if (!plan.inside) {
      const why = plan.shape.least < 0 ? "a score is negative" : "its columns do not sum to one";
      const best =
        plan.floor > 0
          ? `, ${measured(row.excess_loss / plan.floor)} × what the best softmax leaves (${measured(plan.floor)})`
          : "";
      return `No softmax makes these scores: ${why}. The loss is ${loss}${best}.`;
    }
    if (plan.off > 0 && 1 - row.support_mass < 1.5 * plan.off) {
      const held = !(tau > 1)
        ? ""
        : Math.abs(late(plan, row) - 1) > 0.2
          ? `, and the loss, ${strong(`${measured(late(plan, row))} ×`)} the late law, no longer follows it`
          : `; so far the loss is ${strong(`${measured(late(plan, row))} ×`)} the late law`;
      return `η is ${number(plan.state.e)} η_max: full attention would be too steep for this step. ${strong(number(1 - row.support_mass, 2))} of it is off the support, predicted to stop about ${number(plan.off, 2)} short${held}.`;
    }
    if (first.support_mass > 0.4999) return `Half of the attention is on the support from the start; now ${on}.${law}`;
    if (half <= tau)
      return `Half of the attention arrived at ${strong(`${measured(half)} T*`)}${foretold}; now ${on} is there.${law || (row.peak > 1.001 ? ` C₁ went up to ${measured(row.peak)} to make up for what W_V reads amiss.` : "")}`;
    const soon = plan.half > 0 ? ` Half of it is predicted at ${measured(plan.half)} T*.` : "";
    if (row.support_mass > 1.25 * first.support_mass)
      return `The attention is moving: ${on} on the support.${soon}${law}`;
    const along = row.cosine > 0.9 ? "W_V already points along V*" : "W_V is turning towards V*";
    return `${along} (cosine ${strong(cosine(row.cosine))}), and the attention has hardly moved: ${on} on the support.${soon}`;
  };

  /** The table: [what, in the run, predicted]. */
  const readings = (plan, row, half) => {
    const next = plan.next && row.t > plan.T_star ? plan.next(row.t) : NaN,
      tau = row.t / plan.T_star;
    const known = [
      plan.lossAt(row.t),
      plan.law > 0 && tau > 2 && !plan.past ? (plan.law / row.t) * (Math.abs(next) < 0.6 ? 1 + next : 1) : NaN,
      plan.floor,
    ];
    const support =
      plan.off > 0
        ? `about ${percent(1 - plan.off)}`
        : plan.frozen || !plan.inside || plan.past
          ? "–"
          : "to 100\u00a0%";
    const apart = row.beside ? Math.abs(row.excess_loss / row.beside.excess_loss - 1) : NaN;
    return [
      ["step T", whole(row.t), `T* = ${whole(plan.T_star)}`],
      [
        "half of the attention at",
        half <= tau ? `${measured(half)} T*` : "–",
        plan.half > 0 ? `${measured(plan.half)} T*` : "–",
      ],
      ["on the support", percent(row.support_mass), support],
      ["cosine of W_V and V*", cosine(row.cosine), plan.inside && !plan.past ? "to 1" : "–"],
      ["greatest C₁ so far", measured(row.peak), measured(plan.peak)],
      ["excess loss", measured(row.excess_loss), measured(known.find(Number.isFinite))],
      [
        `two numbers, or all ${whole(plan.count)}`,
        row.beside ? `differ by ${apart > 1e-15 ? number(apart, 1) : "0"}` : "they part",
        row.beside ? "0" : "–",
      ],
    ];
  };

  // --- try this: what to set, what to look for, and what was seen, once it was --------------------------------------
  const BASE = {
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
  const grouped = (D, K, edit) => {
    const p = Uint8Array.from({ length: D * D }, (_, n) => Number(Math.floor(n / D / K) === Math.floor((n % D) / K)));
    edit((j, i, code) => {
      p[j * D + i] = code;
    });
    return p;
  };
  const star = (D, pairPlace) => {
    // a ring and a hub: node 0 is joined to every third
    const g = new Uint8Array((D * (D - 1)) / 2);
    for (let i = 0; i < D; i++) g[pairPlace(D, i, (i + 1) % D)] = 1;
    for (let i = 3; i < D - 1; i += 3) g[pairPlace(D, 0, i)] = 1;
    return g;
  };
  const nearLaw = (plan, events) => `The loss came within 5 % of the late law at ${number(events.near)} T*`;
  const TRY = [
    {
      name: "Start here",
      set: () => BASE,
      look: "Three acts. W_V finds its direction at once; the attention waits until about T*; then the loss falls on a line that was known beforehand.",
      seen: (row, plan, events) =>
        events.half &&
        events.near &&
        `Half of the attention arrived at ${measured(events.half)} T*, predicted ${measured(plan.half)}. ${nearLaw(plan, events)}.`,
    },
    {
      name: "κ = 0: ReLU waits",
      set: () => ({ ...BASE, k: 0 }),
      beside: () => BASE,
      look: "The grey line is the identity. ReLU’s attention takes more than twice as many T* to arrive, and yet the loss ends on the same law.",
      seen: (row, plan, events, other) =>
        events.half &&
        events.near &&
        `Half of the attention arrived at ${measured(events.half)} T*, predicted ${measured(plan.half)}; the identity needs ${measured(other.half)} of its own. ${nearLaw(plan, events)}.`,
    },
    {
      name: "Push η past η_max",
      set: () => ({ ...BASE, D: 24, e: 1.6 }),
      look: "Above η_max = 2K/(aD) full attention is too steep for the step. The loss leaves the dashed law, and attention stops short.",
      seen: (row, plan) =>
        row.t > 4 * plan.T_star &&
        late(plan, row) > 3 &&
        late(plan, row) < 30 &&
        `At ${number(row.t / plan.T_star)} T* the loss was ${number(late(plan, row))} × the law, and ${number(1 - row.support_mass, 2)} of the attention was off the support, predicted about ${number(plan.off, 2)}.`,
    },
    {
      name: "Freeze the attention",
      set: () => ({ ...BASE, q: 0 }),
      beside: () => BASE,
      look: "Only W_V learns. Its cosine with V* goes to one, and the loss hardly falls: everything is in the attention.",
      seen: (row, plan) =>
        Math.abs(row.excess_loss / plan.floor - 1) < 1e-4 &&
        `The loss stays at ${number(row.excess_loss, 4)}, predicted ${number(plan.floor, 4)}, with a cosine of ${row.cosine.toFixed(4)}.`,
    },
    {
      name: "A graph with a hub",
      set: ({ pairPlace }) => ({ ...BASE, t: "graph", D: 16, g: star(16, pairPlace) }),
      look: "Node 0 has more neighbours than the others, so the columns of S* do not sum to one. Softmax’s do: a floor remains, and it is known. Drag from node to node to join or part them.",
      seen: (row, plan) =>
        row.excess_loss < 1.1 * plan.floor &&
        `At ${number(row.t / plan.T_star)} T* the loss was ${number(row.excess_loss)}, ${number(row.excess_loss / plan.floor)} × what the best softmax leaves.`,
    },
    {
      name: "One column of another K",
      set: () => ({
        ...BASE,
        t: "paint",
        D: 24,
        p: grouped(24, 4, (put) => {
          for (let j = 0; j < 16; j++) put(j, 11, 1);
        }),
      }),
      look: "Output 11 reads 16 tokens, the others 4. Two numbers no longer hold the run. Yet the law only counts the zeros of each column: Σ Kᵢ(D − Kᵢ)/(4ηT).",
      seen: (row, plan, events) => events.near && `${nearLaw(plan, events)}, with the zeros of each column counted.`,
    },
    {
      name: "A score that softmax cannot make",
      set: () => ({ ...BASE, t: "paint", D: 24, n: 0, p: grouped(24, 4, (put) => put(20, 5, 2)) }),
      look: "Output 5 wants one score of −¼. Softmax makes none below zero, so the loss has a floor, and it is known.",
      seen: (row, plan) =>
        row.excess_loss < 1.1 * plan.floor &&
        `At ${number(row.t / plan.T_star)} T* the loss was ${number(row.excess_loss)}, ${number(row.excess_loss / plan.floor)} × the floor ${number(plan.floor)}.`,
    },
    {
      name: "A random start",
      set: () => ({ ...BASE, r: 1 }),
      look: "Two numbers say nothing of this start. As far as we saw such runs tend to the same late law; but a token that begins with little attention comes to it late, so for long the loss may lie below the law.",
      seen: (row, plan, events) =>
        events.near && `${nearLaw(plan, events)}, from weights of size ${number(plan.state.r)}.`,
    },
  ];

  return { raised, number, measured, whole, opening, sentence, readings, TRY, late };
})();

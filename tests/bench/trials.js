// Trials of the bench in its page; test_bench.py adds this script and calls them.
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const drawn = (seed) => {
  const next = bench.dynamics.uniforms(seed);
  const some = (low, high) => low + Math.floor(next() * (high - low + 1));
  return { next, some, of: (list) => list[some(0, list.length - 1)] };
};
const statesOf = () => benchStates(bench.dynamics);
const problem = () => document.querySelector(".bench .problem");
const KINDS = ["conv", "graph", "tokens", "sparse", "paint"];

/** Controls moved at random: what is left of a state that its address does not bring back. */
const walked = (seed) => {
  const states = statesOf(), { next, some, of } = drawn(seed), faults = [];
  const bits = (length, most) => Uint8Array.from({ length }, () => some(0, most));
  let state = states.read("t=conv");
  for (let n = 0; n < 250; n++) {
    const name = of(["t", ...Object.keys(states.RANGES), "p", "g", "j"]), { t, D } = state, range = states.RANGES[name];
    let value = null;
    if (name === "t") value = of(KINDS);
    else if (range) value = range[2] ? some(...range) : Number((range[0] + next() * (range[1] - range[0])).toFixed(3));
    else if (name === "p" && t === "paint") value = bits(D * D, 3);
    else if (name === "g" && t === "graph") value = bits((D * (D - 1)) / 2, 1);
    else if (name === "j" && ["tokens", "sparse"].includes(t)) value = bits(D, 1);
    if (value === null) continue;
    try {
      const other = states.refuseEmpty(states.changed(state, { [name]: value }));
      const address = states.write(other), back = states.read(address);
      if (states.write(back) !== address) faults.push([address, states.write(back)]);
      if (JSON.stringify(states.taskOf(back)) !== JSON.stringify(states.taskOf(other))) faults.push([address, "another task"]);
      state = other;
    } catch (error) {
      if (!/is empty|no token|one token/.test(error.message)) faults.push([states.write(state), name, error.message]);
    }
  }
  return faults;
};

/** Addresses of every bad kind, one after another: how many were used, refused, and what went wrong. */
const attacked = async ([seed, many]) => {
  const { next, some, of } = drawn(seed), signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const text = (long) => Array.from({ length: some(0, long) }, () => of(signs)).join("");
  const names = ["t", "D", "K", "k", "e", "q", "M", "d", "s", "r", "x", "n", "p", "g", "j", "", "z", "__proto__", "t ", "T"];
  const odd = ["NaN", "Infinity", "-1", "1e9", "0x10", "", " 4", "<img src=x onerror=alert(1)>", "%00", "%", "\u202e", "null",
    "javascript:alert(1)", "9".repeat(40), "1/0", "\u0663"];
  const values = [() => String(some(0, 69)), () => next().toFixed(4), () => (4 * next()).toFixed(2), () => text(1400), () => text(12),
    () => of(KINDS), () => of(odd)];
  const part = () => `${of(names)}=${of(values)()}`, parts = (most) => Array.from({ length: some(0, most) }, part);
  const kind = () => `t=${of(KINDS)}&D=${some(4, 64)}`;
  const forms = [() => [kind(), ...parts(2)].join("&"), () => [kind(), ...parts(2)].join("&"),
    () => `${kind()}&${of(["p", "g", "j"])}=${text(1400)}&n=${some(0, 1)}`, () => [part(), ...parts(4)].join(of(["&", "&", ";", "&&"]))];
  const found = { used: 0, refused: 0, faults: [], slow: [] }, tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ type: "longtask" });
  for (let n = 0; n < many; n++) {
    const address = of(forms)(), before = bench.state;
    tasks.length = 0;
    location.hash = address;
    await wait(25);
    const refused = problem().checkVisibility(), said = problem().textContent, { now } = bench;
    const fault = (why) => found.faults.push([address, why]);
    if (refused && !/^This (address was not used|cannot be run): .+\.$/s.test(said)) fault(said);
    if (refused && said.length > 300) fault("a long message");
    if (refused && bench.state !== before) fault("refused, and yet changed");
    if (now && !now.stopped && !Number.isFinite(now.excess_loss)) fault(now.excess_loss);
    found[refused ? "refused" : "used"]++;
    if (tasks.some(({ duration }) => duration > 200)) found.slow.push(address);
  }
  return found;
};

/** The longest time, in milliseconds, that the page stands still for an address. */
const longest = async (address) => {
  const tasks = [];
  location.hash = "t=conv&D=8";
  await wait(150);
  new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ type: "longtask" });
  location.hash = address;
  await wait(400);
  return Math.max(0, ...tasks.map(({ duration }) => duration));
};

/** Matrices painted at random, each run a little: what went wrong. */
const painted = async ([seed, many]) => {
  const states = statesOf(), { next, some } = drawn(seed), faults = [];
  for (let n = 0; n < many; n++) {
    const D = some(4, 64), full = next(), p = Uint8Array.from({ length: D * D }, () => (next() < full ? some(0, 3) : 0));
    if (p.every((code) => code === 0)) continue;
    const k = next() < 0.5 ? 1 : Number(next().toFixed(2)), e = Number((0.02 + 2 * next()).toFixed(2));
    const given = { t: "paint", D, K: some(1, Math.min(D, 9)), p, n: some(0, 1), k, e, r: next() < 0.2 ? 1 : 0 };
    const address = states.write({ ...states.read("t=conv"), ...given }), fault = (why) => faults.push([address, why]);
    location.hash = address;
    await wait(30);
    if (problem().checkVisibility()) fault(problem().textContent);
    bench.play(true);
    await wait(60);
    bench.play(false);
    await wait(30);
    if (bench.state !== address) fault(bench.state);
    if (bench.now && !bench.now.stopped && !Number.isFinite(bench.now.excess_loss)) fault(bench.now.excess_loss);
    if (/NaN|Infinity|undefined/.test(document.querySelector(".bench").textContent)) fault("says NaN");
  }
  return faults;
};

/** W_V of the page's run at its step, taken anew. */
const valuesNow = () => {
  const { now } = bench, { eta } = now.predicted, state = statesOf().read(bench.state);
  const run = bench.dynamics.descent({ ...statesOf().taskOf(state), eta, eta_KQ: state.q ? eta : 0 });
  run.advance(now.t);
  return run.weights().W_V.map((row) => Array.from(row));
};
/** The task of the page's state, as lists. */
const taskNow = () => {
  const { V_star, S_star, slope } = statesOf().taskOf(statesOf().read(bench.state));
  return { V_star: V_star.map((row) => Array.from(row)), S_star: S_star.map((row) => Array.from(row)), slope };
};
/** What is focused: whether it lies in the bench, whether that shows, and what it is. */
const focused = () => {
  const element = document.activeElement;
  const shows = (part) => part && parseFloat(getComputedStyle(part).outlineWidth) > 0 && getComputedStyle(part).outlineStyle !== "none";
  return [Boolean(element.closest(".bench")), Boolean(shows(element) || shows(element.nextElementSibling)), element.outerHTML.slice(0, 60)];
};
/** Counts how often the table of readings changes, in window.changes. */
const countChanges = () => {
  window.changes = 0;
  const seen = new MutationObserver(() => { window.changes++; });
  seen.observe(document.querySelector(".bench tbody"), { childList: true, subtree: true, characterData: true });
};

// The run itself, in a worker so that the page stays smooth: steps in short slices, rows of the run as replies.
const benchRuns = (dynamics) => {
  "use strict";

  /** What the worker does, from its text: a `task` begins a run, `n` steps within `ms` milliseconds continue it. */
  const worker = (dynamics, reply) => {
    const m = dynamics();
    let run = null,
      beside = null,
      id = 0;
    /** A row of the run with what the two scalars have at its step, and S as single precision. */
    const told = (row) => {
      if (beside) beside.advance(row.t - beside.t);
      return !beside || beside.stopped
        ? row
        : { ...row, beside: { C1: beside.C1, gap: beside.gap, excess_loss: beside.excess_loss } };
    };
    return (message) => {
      try {
        if (message.task) {
          id = message.id;
          run = m.descent(message.task);
          beside = message.scalars ? m.twoScalars(message.scalars) : null;
        }
        if (!run || message.id !== id) return;
        const began = performance.now(),
          taken = run.advance(message.n, message.ms);
        const marks = run.marks.splice(0),
          spent = performance.now() - began,
          looked = run.look();
        const S = Float32Array.from(run.weights().S.flatMap((row) => Array.from(row)));
        const rows = [...marks, { ...looked, least: looked.excess_loss, greatest: looked.excess_loss, S }].map(told);
        reply({ id, taken, spent, now: rows.pop(), marks: rows, stopped: run.stopped });
      } catch (error) {
        reply({ id: message.id, refused: error.message });
      }
    };
  };

  /** A way to send messages, each answered by `heard`: to a worker, or on the page itself where there can be none. */
  return (heard) => {
    const here = () => worker(dynamics, heard);
    let send = null,
      own = null;
    const fall = () => {
      own ??= here();
      send = own;
    };
    try {
      const text = `const heard = (${worker})(${dynamics}, (told) => postMessage(told)); onmessage = (event) => heard(event.data);`;
      const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" })),
        made = new Worker(address);
      let pending = null;
      made.onmessage = (event) => heard(event.data);
      made.onerror = (event) => {
        // a page whose policy allows none
        event.preventDefault();
        fall();
        if (pending) own(pending);
      };
      send = (message) => {
        if (message.task) pending = { ...message };
        made.postMessage(message);
      };
    } catch {
      fall();
    }
    return { send: (message) => send(message), slice: () => (own ? 7 : 14), inWorker: () => !own };
  };
};

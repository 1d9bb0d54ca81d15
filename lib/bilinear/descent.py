"""The laboratory: gradient descent (3.3)–(3.4), and what a run keeps of it.

`descend` is the one loop: tensors, their slopes, a step. The paper's three cases call it:

`population`   on the exact population loss, no sampling
`online`       a fresh batch each step, the paper's experiments
`empirical`    one fixed sample, used in full

In each, four questions have one place. Where does the slope come from: the verb. What is trained, and from where:
`student`, which carries its start, its P and its score map. How does it step: `eta`, `eta_KQ`, `optimiser`. What is
kept: `record`, `watch`. Weights are torch, curves are numpy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from . import checks
from .activations import Activation
from .inputs import gaussian
from .population import ExactLoss
from .scores import SOFTMAX
from .students import PositionOnlyTransformer, sampled_slopes, turn
from .teachers import Teacher

AT_ONCE = 20_000_000  # entries of logits that the compiled loop moves before it listens to Ctrl-C again: 0.1 s
NO_SCORES = np.empty((0, 0))
TESTS = 1000  # inputs on which a loss is measured that has no closed form


@dataclass(frozen=True, eq=False)
class Run:
    """A run: aligned columns by name, one entry a recorded step, and the final weights by name; all are attributes.

    `t`, the steps taken, always. Of position-only attention and of the two scalars alike, float64:
    `excess_loss`      L − L_opt
    `cosine`           of W_V and V* as vectors, 0 at W_V = 0
    `support_mass`     the mean over columns of the score that lies on the support G^i
    `off_support`      δ, the rest of it
    `value_error`      ‖W_V − V*‖_F          (Theorem 3.1(2))
    `score_error`      ‖S − S*‖_F            (Theorem 3.1(1))
    `C1`               ⟨W_V, V*⟩/‖V*‖_F²      (Lemma D.2)
    `gap`              log of the mean score on the support over the mean score off it, 0 where nothing is off it,
                       infinite where the scores off it underflow
    `.W_V .W_KQ .S`    the weights and the scores at the end, of runs of matrices
    A column may be given as a function, which is called when it is first read. Raises AttributeError for other names.

    >>> run = Run({"t": np.arange(3), "excess_loss": np.array([4.0, 2.0, 1.0])}, {})
    >>> run.excess_loss[-1], "excess_loss" in dir(run)
    (np.float64(1.0), True)
    """

    columns: dict[str, np.ndarray | Callable[[], np.ndarray]]
    weights: dict[str, Tensor]

    def __getattr__(self, name: str):
        if name.startswith("__") or name in ("columns", "weights"):
            raise AttributeError(name)
        if name in self.weights:
            return self.weights[name]
        if name not in self.columns:
            known = ", ".join([*self.columns, *self.weights])
            raise AttributeError(f"this run has no {name!r}; it has: {known}")
        if callable(self.columns[name]):
            self.columns[name] = self.columns[name]()
        return self.columns[name]

    def __dir__(self):
        return [*super().__dir__(), *self.columns, *self.weights]


Trajectory = Run


def descend(
    slopes: Callable,
    start: Mapping[str, Tensor | np.ndarray],
    eta: float | Mapping[str, float],
    steps: int,
    *,
    optimiser: Callable | None = None,
    record: Iterable[int] | None = None,
    watch: Callable | None = None,
) -> Run:
    """Descent on the tensors of `start` along `slopes(**weights)` → (loss, {name: slope}). The one loop.

    `eta` ≥ 0, a number or {name: number}; 0 freezes. `steps` ≥ 0. `optimiser`: a factory of `torch.optim`, such as
    partial(torch.optim.SGD, momentum=0.9); None is the plain step w − η slope. `record`: the steps to keep in
    0 … steps, every one by default. `watch(**weights)` → {name: number or tensor}, called at recorded steps only
    (once, at the end, where there are none).
    `start` is not changed; `slopes` and `watch` are given the weights themselves and must not change them.
    Numpy arrays in `start` stay numpy for `slopes` and `watch`: at small sizes its calls are the cheaper ones.
    Columns of the run: `t`, `loss`, and what `watch` returned; a `loss` of its own, such as one number for each of many
    runs side by side, takes the place of the sum. Raises ValueError and TypeError for bad arguments, and
    FloatingPointError where the loss is NaN or a million times the first.

    >>> bowl = lambda w: (0.5 * float(w @ w), {"w": w})
    >>> run = descend(bowl, {"w": torch.ones(2)}, eta=0.5, steps=3)
    >>> run.loss.tolist(), run.w.tolist()
    ([1.0, 0.25, 0.0625, 0.015625], [0.125, 0.125])
    """
    steps, record = _schedule(steps, record)
    checks.instance("slopes", slopes, Callable)
    _callables(optimiser, watch)
    weights = {}
    for name, w in checks.instance("start", start, Mapping).items():
        if name in ("t", "loss"):
            raise ValueError(f"a tensor in start must not be called {name!r}: the run has a column of that name")
        if not isinstance(w, np.ndarray) or optimiser is not None:  # torch's optimisers move tensors
            checks.instance(f"{name} in start", w, Tensor)
        if isinstance(w, np.ndarray):
            checks.numbers(f"{name} in start", w)
        else:
            checks.finite(f"{name} in start", w)
        weights[name] = _copy(w)
    if not weights:
        raise ValueError("start must have at least one tensor, got none")
    if isinstance(eta, Mapping):
        if eta.keys() != weights.keys():
            raise ValueError(f"eta must name the tensors of start, {', '.join(weights)}; got {', '.join(eta)}")
        eta = {name: checks.real(f"eta of {name}", value, least=0) for name, value in eta.items()}
    else:
        eta = dict.fromkeys(weights, checks.real("eta", eta, least=0))

    def row(loss, weights):
        return {"loss": loss} | _with({}, watch(**weights) if watch else {})

    columns = _loop(slopes, weights, eta, steps, optimiser, record, row)
    return Run(columns, {name: torch.as_tensor(w) for name, w in weights.items()})


def by_autograd(loss: Callable) -> Callable:
    """The slopes that `descend` takes, from `loss(**weights)` → a 0-dim tensor; zero for a tensor that it does not use.

    >>> run = descend(by_autograd(lambda w: 0.5 * w @ w), {"w": torch.ones(2)}, eta=0.5, steps=3)
    >>> run.w.tolist()
    [0.125, 0.125]
    """

    checks.instance("loss", loss, Callable)

    def slopes(**weights):
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        with torch.enable_grad():
            found = loss(**leaves)
        if not isinstance(found, Tensor) or found.ndim or not found.requires_grad:
            raise ValueError(f"loss must return a 0-dim tensor that depends on {', '.join(leaves)}; got {found!r:.60}")
        to = torch.autograd.grad(found, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return found.detach(), dict(zip(leaves, to, strict=True))

    return slopes


def population(
    teacher: Teacher,
    eta: float,
    steps: int,
    *,
    student: PositionOnlyTransformer | None = None,
    eta_KQ: float | None = None,
    optimiser: Callable | None = None,
    P=None,
    record: Iterable[int] | None = None,
    watch: Callable | None = None,
) -> Run:
    """Gradient descent on the exact population loss (3.2), no sampling: inputs with i.i.d. N(0, 1) entries.

    η > 0, `steps` ≥ 0. `student`: where to start, with its P and score map; None is the paper's, zero weights and
    softmax, with P orthogonal D × D (None is I). `eta_KQ` ≥ 0: another step size for W_KQ; 0 freezes the attention.
    `optimiser`, `record` as in `descend`; `watch(student)` → {name: number or tensor}.
    Since P is orthogonal, plain descent on W_KQ is descent on the logits PᵀW_KQP: the loop runs there and turns back.
    Columns: those of `Run`, then those of `watch`. The `student` itself is not changed.
    Raises ValueError and TypeError for bad arguments, FloatingPointError where the run diverges.

    >>> from bilinear.teachers import convolution
    >>> run = population(convolution(torch.ones(2, 3), D=6, K=2), eta=0.1, steps=4000, record=[0, 4000])
    >>> run.t.tolist(), run.support_mass.round(3).tolist()
    ([0, 4000], [0.333, 0.889])
    """
    checks.instance("teacher", teacher, Teacher)
    eta, eta_KQ = _step_sizes(eta, eta_KQ)
    steps, record = _schedule(steps, record)
    _callables(optimiser, watch)
    student = _student(teacher, student, P)
    if type(student) is not PositionOnlyTransformer:  # another forward has another loss
        raise TypeError(f"student must be a PositionOnlyTransformer itself, got {type(student).__name__}")
    plain = optimiser is None
    exact, score_map, like = ExactLoss(teacher), student.score_map, teacher.V_star
    weights = {"W_V": student.W_V.detach(), "W_KQ": student.W_KQ.detach()}  # the same memory
    if plain:  # the kernel works on columns: they lie in a row
        weights = {"W_V": weights["W_V"].clone(memory_format=torch.contiguous_format)}
        weights["W_KQ"] = student.logits().detach().T.clone(memory_format=torch.contiguous_format).T

    def logits_of(W_KQ):
        return W_KQ if plain else student.logits()

    def slopes(W_V, W_KQ):
        logits = logits_of(W_KQ)
        S = score_map(logits)
        loss, to_W_V, to_S = exact.slopes(W_V, S)
        to_logits = score_map.pull_back(logits, S, to_S)
        return loss, {"W_V": to_W_V, "W_KQ": to_logits if plain else turn(student.P.T, to_logits)}

    def look():
        if plain:
            student.W_V.copy_(weights["W_V"])
            student.W_KQ.copy_(turn(student.P.T, weights["W_KQ"]))
        return watch(student)

    def row(loss, weights):
        found = measure.read(loss, *measure.sums(weights["W_V"], score_map(logits_of(weights["W_KQ"]))))
        return _with(found, look()) if watch else found

    measure, sizes = _Measure(teacher), {"W_V": eta, "W_KQ": eta_KQ}
    with torch.no_grad(), _advice(teacher, teacher.sigma.a, plain=plain):
        if plain and score_map == SOFTMAX and like.device.type == "cpu" and like.dtype == torch.float64:
            columns = _compiled_loop(exact, weights, sizes, steps, record, measure.read, look if watch else None)
        else:
            columns = _loop(slopes, weights, sizes, steps, optimiser, record, row)
            weights["S"] = score_map(logits_of(weights["W_KQ"]))
        if plain:
            weights["W_KQ"] = turn(student.P.T, weights["W_KQ"])
        return Run(columns, {name: w.contiguous() for name, w in weights.items()})


def online(
    teacher: Teacher | Callable,
    eta: float,
    steps: int,
    *,
    seed: int,
    batch: int = 100,
    noise: float = 1.0,
    inputs: Callable | Tensor = gaussian,
    student: nn.Module | None = None,
    eta_KQ: float | None = None,
    optimiser: Callable | None = None,
    P=None,
    record: Iterable[int] | None = None,
    watch: Callable | None = None,
) -> Run:
    """Online gradient descent: each step a fresh batch X of N(0, 1) tokens with labels f*(X) + E, (3.1).

    `seed` of the generator that draws both; `batch` N ≥ 1; `noise` ≥ 0, the standard deviation of E's Gaussian entries.
    `inputs`: a law of `bilinear.inputs`, or tokens (n, d, D) from which each batch is drawn with replacement.
    `student`: any module X → TF(X) whose parameters are trained by autograd; `teacher` may then be any function X → Y.
    `eta_KQ`: the step size of every parameter that is not a W_V. The rest is as in `population`.
    The recorded `excess_loss` is the exact population loss where that is known: a Teacher, a position-only student,
    Gaussian inputs. Otherwise it is the mean of ½‖f*(X) − TF(X)‖² over all of the given tokens, or over 1,000 inputs
    drawn once from a generator of its own. A Teacher and a position-only student have the other columns of `Run` too.
    """
    batch = checks.integer("batch", batch, 1)
    given = (teacher, eta, steps, seed, noise, inputs, student, eta_KQ, optimiser, P, record, watch)
    return _sampled(*given, fresh=batch)


def empirical(
    teacher: Teacher | Callable,
    eta: float,
    steps: int,
    *,
    seed: int,
    samples: int | None = None,
    noise: float = 1.0,
    inputs: Callable | Tensor = gaussian,
    student: nn.Module | None = None,
    eta_KQ: float | None = None,
    optimiser: Callable | None = None,
    P=None,
    record: Iterable[int] | None = None,
    watch: Callable | None = None,
) -> Run:
    """Gradient descent on one fixed sample, drawn like a batch of `online` and used in full.

    `samples` ≥ 1, its size; given tokens (n, d, D) are all used, and `samples` is left out.
    The recorded excess loss is the population's, as in `online`, so over-fitting shows. The rest is as there.
    """
    if isinstance(inputs, Tensor) and samples is not None:
        raise ValueError(f"give samples or a tensor of inputs, which is used in full; got samples = {samples} with one")
    samples = len(inputs) if isinstance(inputs, Tensor) else checks.integer("samples", samples, 1)
    given = (teacher, eta, steps, seed, noise, inputs, student, eta_KQ, optimiser, P, record, watch)
    return _sampled(*given, fixed=samples)


def _sampled(
    teacher, eta, steps, seed, noise, inputs, student, eta_KQ, optimiser, P, record, watch, fresh=0, fixed=0
) -> Run:
    eta, eta_KQ = _step_sizes(eta, eta_KQ)
    steps, record = _schedule(steps, record)
    _callables(optimiser, watch)
    student = _student(teacher, student, P)
    noise, generator = checks.real("noise", noise, least=0), _generator(seed, student)
    seed = int(seed)  # a small integer of numpy would overflow
    like, (d, D) = next(student.parameters()), _token_shape(teacher, student, inputs)
    known = isinstance(teacher, Teacher) and type(student) is PositionOnlyTransformer
    if isinstance(inputs, Tensor):
        inputs = checks.array("inputs", inputs, ("n", d, D), like=like)
    else:
        checks.instance("inputs", inputs, Callable)

    label, output = teacher, student
    if known:  # without looking for NaN in the tokens at every step

        def label(X):
            values = torch.bmm(teacher.V_star.expand(len(X), *teacher.V_star.shape), X)
            return teacher.sigma(values.flatten(0, 1) @ teacher.S_star).reshape(values.shape)

        def output(X):
            return student.sigma(student.W_V @ X @ student.scores())

    def draw(size):
        if not isinstance(inputs, Tensor):
            X = inputs(size, d, D, generator=generator, dtype=like.dtype)
            Y = label(X)
        elif fixed:
            X, Y = tests, target
        else:
            rows = torch.randint(len(inputs), (size,), generator=generator, device=inputs.device)
            X, Y = tests[rows], target[rows]
        return X, Y + noise * gaussian(*Y.shape, generator=generator, dtype=Y.dtype) if noise else Y

    closed = known and inputs is gaussian
    if not closed:
        tests = inputs
        if not isinstance(inputs, Tensor):
            tests = inputs(TESTS, d, D, generator=_generator((2**32 + seed) % 2**63, student), dtype=like.dtype)
        with torch.no_grad():  # a teacher may be a network
            target = label(tests)
    sample = draw(fixed) if fixed else None
    parameters = {name: w for name, w in student.named_parameters() if w.requires_grad}
    weights = {name: w.detach() for name, w in parameters.items()}  # the same memory
    steps_of = {name: eta if name.rpartition(".")[2].startswith("W_V") else eta_KQ for name in weights}
    exact, measure = (ExactLoss(teacher), _Measure(teacher)) if known else (None, None)

    def slopes(**_):
        return slopes_on(*(sample or draw(fresh)))

    def by_autograd(X, Y):
        with torch.enable_grad():
            loss = 0.5 * (Y - output(X)).square().sum() / len(X)
        to = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, materialize_grads=True)
        return loss.detach(), dict(zip(parameters, to, strict=True))

    def by_hand(X, Y):
        logits = student.logits()
        S = student.score_map(logits)
        loss, to_W_V, to_S = sampled_slopes(student.sigma, student.W_V, S, X, Y)
        to_logits = student.score_map.pull_back(logits, S, to_S)
        return loss, {"W_V": to_W_V, "W_KQ": turn(student.P.T, to_logits)}

    usual = type(student) is PositionOnlyTransformer and isinstance(student.sigma, Activation) and len(parameters) == 2
    slopes_on = by_hand if usual else by_autograd

    def row(_, weights):
        S = student.scores() if known else None
        loss = exact.loss(student.W_V, S) if closed else 0.5 * (target - output(tests)).square().sum() / len(tests)
        found = measure.read(loss, *measure.sums(student.W_V, S)) if known else {"excess_loss": loss}
        return _with(found, watch(student)) if watch else found

    gaussian_batches = fresh and inputs is gaussian
    token_sq = d + 2 if gaussian_batches else float((sample[0] if fixed else tests).square().sum(-2).max())
    with torch.no_grad(), _advice(teacher, token_sq, plain=optimiser is None and known):
        columns = _loop(slopes, weights, steps_of, steps, optimiser, record, row)
        if known:
            weights = weights | {"S": student.scores()}
    return Run(columns, weights)


_sampling = {"runs": 0, "threads": 0}  # runs that go on now, and torch's threads before the first of them
_sampling_lock = Lock()


@contextmanager
def _one_thread():
    """Small tensors are faster on one thread than on several, and far faster on a busy machine.

    The number is the whole process's: of runs side by side the last to end puts it back.
    """
    with _sampling_lock:
        if not _sampling["runs"]:
            _sampling["threads"] = torch.get_num_threads()
            torch.set_num_threads(1)
        _sampling["runs"] += 1
    try:
        yield
    finally:
        with _sampling_lock:
            _sampling["runs"] -= 1
            if not _sampling["runs"]:
                torch.set_num_threads(_sampling["threads"])


@_one_thread()
def _loop(slopes, weights, eta, steps, optimiser, record, row) -> dict:
    """The loop itself: moves `weights` in place and returns the columns, one `row` for each recorded step."""
    if optimiser is not None:
        moving = [{"params": [weights[name]], "lr": size} for name, size in eta.items() if size]
        optimiser = optimiser(moving) if moving else None
    rows, bound = [], math.inf
    for t in range(steps + 1):
        loss, to = slopes(**weights)
        if t == 0:
            _refuse_slopes(loss, to, weights)
            bound = _bound(loss)
        if not -math.inf < float(loss) < bound:
            raise _diverged(t, loss, eta.values())
        if record is None or t in record or (not record and t == steps):
            _add(rows, t, row(float(loss), weights))  # a number: the tensor may be used again
        if t == steps:
            break
        if optimiser is not None:
            for name, w in weights.items():
                # a copy, since a slope may be a weight itself; a fused step needs it laid out as its weight is
                w.grad = torch.empty_like(w).copy_(to[name])
            optimiser.step()
            continue
        moves = [(w, eta[name] * to[name]) for name, w in weights.items() if eta[name]]
        for w, move in moves:
            w -= move
    if optimiser is not None:
        for w in weights.values():
            w.grad = None
    return _kept(_columns(rows), record)


def _compiled_loop(exact: ExactLoss, weights, eta, steps, record, read, look) -> dict:
    """What `_loop` does, by the compiled kernel: the same weights moved in place, the same columns, the same errors."""
    from . import compiled  # brings numba

    parts = exact.V_star, exact.S_star.T, exact.s_star_sq, exact.v_norm
    of_teacher = *(part.contiguous().numpy() for part in parts), float(exact.V_star_sq), exact.a, exact.beta
    W_V, logits = weights["W_V"].numpy(), weights["W_KQ"].T.numpy()
    marks = np.arange(steps + 1) if record is None else np.array(sorted(record) or [steps], dtype=np.int64)
    sums, row, bound = np.empty((len(marks), 7)), 0, math.inf

    def advance(first, last, eta, eta_KQ, S=NO_SCORES):
        """Steps `first` … `last` − 1; at step sizes of zero a look at one step."""
        nonlocal row
        end = int(np.searchsorted(marks, last))
        to_keep = first, last, bound, marks[row:end], sums[row:end]
        failed, loss = compiled.population(*of_teacher, W_V, logits, eta, eta_KQ, *to_keep, S)
        if failed >= 0:
            raise _diverged(failed, loss, sizes)
        row = end
        return loss

    sizes, t, rows, S = eta.values(), 0, [], NO_SCORES
    chunk = max(1, AT_ONCE // logits.size)
    looks = set(marks.tolist()) if look else set()
    for stop in sorted({0, steps} | looks):
        while t < stop:
            last = min(stop, t + chunk)
            advance(t, last, *sizes)
            t = last
        if stop == steps:
            S = np.empty(logits.shape)
        loss = advance(stop, stop + 1, 0.0, 0.0, S)
        bound = _bound(loss) if stop == 0 else bound
        if stop in looks:
            _add(rows, stop, _with(read(*sums[row - 1]), look()))
    columns = _columns(rows) if look else {"t": marks} | read(*sums.T)
    weights["S"] = torch.from_numpy(S).T
    return _kept(columns, record)


def _refuse_slopes(loss, to, weights) -> None:
    """What a caller's `slopes` returns, looked at once: one number as the loss, and for each tensor a slope like it."""
    if getattr(loss, "ndim", 0) or not isinstance(to, Mapping):
        raise ValueError(
            f"slopes must return (loss, {{name: slope}}), the loss one number; got {loss!r:.60}, {to!r:.60}"
        )
    for name, w in weights.items():
        if name not in to:
            raise ValueError(f"slopes must return a slope for each tensor of start, got none for {name}")
        if np.shape(to[name]) != np.shape(w):
            raise ValueError(
                f"slopes must return a slope of shape {tuple(w.shape)} for {name}, got {tuple(np.shape(to[name]))}"
            )


def _diverged(t, loss, sizes) -> FloatingPointError:
    if t == 0:
        return FloatingPointError(f"the loss is {float(loss):.3g} before any step: V_star or the start is too large")
    sizes = ", ".join(f"{size:g}" for size in dict.fromkeys(sizes))
    return FloatingPointError(f"the run diverged at step {t}: loss = {float(loss):.3g} at eta = {sizes}")


def _add(rows: list[dict], t: int, row: dict) -> None:
    rows.append({"t": t} | row)
    if rows[-1].keys() != rows[0].keys():
        raise ValueError(f"watch must return the same names each time, got {', '.join(rows[-1])} at step {t}")


def _columns(rows: list[dict]) -> dict:
    """The rows as columns."""
    columns = {name: _column([row[name] for row in rows]) for name in rows[0]}
    return columns | {"t": columns["t"].astype(int)}


def _kept(columns: dict, record) -> dict:
    """An empty `record` keeps nothing, yet its run ends in a look."""
    return columns if record is None or record else {name: column[:0] for name, column in columns.items()}


def _bound(initial) -> float:
    """A loss this large is divergence: edge-of-stability runs stay within a few times the initial loss."""
    return 1e6 * float(initial) if initial > 0 else math.inf


def _with(row: dict, watched) -> dict:
    """The row and what `watch` returned, as it is now: it may have returned weights that go on moving."""
    checks.instance("what watch returns", watched, Mapping)
    if taken := sorted({"t", *row} & watched.keys()):
        raise ValueError(f"watch must not return {taken[0]!r}: the run has a column of that name")
    return row | {name: _copy(value) for name, value in watched.items()}


def _copy(value):
    """A tensor or an array of its own; a number as it is."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def _column(values) -> np.ndarray:
    """Numbers as one float64 array, tensors and arrays stacked."""
    if not getattr(values[0], "ndim", 0):
        return np.array([float(value) for value in values])
    if len({tuple(value.shape) for value in values}) > 1:
        raise ValueError("watch must return arrays of the same shape each time")
    return torch.stack(values).cpu().numpy() if isinstance(values[0], Tensor) else np.stack(values)


class _Measure:
    """The columns of `Run` from six inner products, of one state or of many."""

    def __init__(self, teacher: Teacher):
        self.V_star, self.S_star, self.D = teacher.V_star, teacher.S_star, teacher.D
        self.norm_sq = float((self.V_star**2).sum())
        self.count_on = int(teacher.support.sum())
        self.count_off = self.D**2 - self.count_on

    def sums(self, W_V, S) -> tuple[float, ...]:
        """‖W_V‖², ⟨W_V, V*⟩, ‖W_V − V*‖², the score on the support and off it, ‖S − S*‖²."""
        on = S * (self.S_star > 0)
        d_W, d_S = W_V - self.V_star, S - self.S_star
        found = (W_V * W_V, W_V * self.V_star, d_W * d_W, on, S - on, d_S * d_S)
        return tuple(float(products.sum()) for products in found)

    def read(self, loss, W_sq, along, value_sq, mass, off, score_sq) -> dict:
        """The columns, from floats or from arrays of them."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            lengths = np.sqrt(W_sq) * math.sqrt(self.norm_sq)  # the product of the squares may not be a number
            cosine = along / lengths
            ratio = np.divide(mass * self.count_off, off * self.count_on)
            return {
                "excess_loss": loss,
                "cosine": np.where(lengths > 0, cosine, 0.0),
                "support_mass": mass / self.D,
                "off_support": off / self.D,
                "value_error": np.sqrt(value_sq),
                "score_error": np.sqrt(score_sq),
                "C1": along / self.norm_sq if self.norm_sq > 0 else 0.0 * along,
                "gap": np.log(ratio) if self.count_off and self.count_on else 0.0 * mass,
            }


@contextmanager
def _advice(teacher, token_sq: float, plain: bool):
    """Add to a FloatingPointError the step size that would hold, where one is known.

    Columns of S sum to one, so the curvature in W_V is at most D times `token_sq`, what a token's square weighs:
    a on the population, E‖x‖⁴/E‖x‖² = d + 2 for fresh Gaussian batches, the largest ‖x‖² of a fixed set.
    """
    try:
        yield
    except FloatingPointError as error:
        if not plain or "before any step" in str(error):
            raise
        safe = 1 / (teacher.D * token_sq)
        raise FloatingPointError(
            f"{error}; eta ≤ {safe:.3g} would hold: no scores make the loss so steep that a step of this size "
            "overshoots"
        ) from None


def _step_sizes(eta, eta_KQ) -> tuple[float, float]:
    eta = checks.real("eta", eta, above=0)
    return eta, eta if eta_KQ is None else checks.real("eta_KQ", eta_KQ, least=0)


def _callables(optimiser, watch) -> None:
    for name, function in (("optimiser", optimiser), ("watch", watch)):
        if function is not None:
            checks.instance(name, function, Callable)


def _schedule(steps, record) -> tuple[int, set[int] | None]:
    steps = checks.integer("steps", steps, 0)
    if record is not None:
        record = {checks.integer("a step in record", t, 0) for t in checks.collection("record", record)}
        if record and max(record) > steps:
            raise ValueError(f"a step in record must be at most steps = {steps}, got {max(record)}")
    return steps, record


def _student(teacher, student, P) -> nn.Module:
    """A copy of the student to train, or the paper's own: `teacher` decides its sizes."""
    if student is None:
        if not isinstance(teacher, Teacher) and callable(teacher):
            raise TypeError("give a student: of a teacher that is a function its sizes are unknown")
        return PositionOnlyTransformer.of(teacher, P)
    if P is not None:
        raise ValueError("give P or a student, which carries its own P, and not both")
    checks.instance("student", student, nn.Module)
    if not any(w.requires_grad for w in student.parameters()):
        raise ValueError("student must have parameters to train, got none that requires a gradient")
    if isinstance(teacher, Teacher) and isinstance(student, PositionOnlyTransformer):
        f, W_V = teacher, student.W_V
        if (f.M, f.d, f.D) != (*W_V.shape, len(student.P)):
            sizes = f"M, d, D = {W_V.shape[0]}, {W_V.shape[1]}, {len(student.P)}"
            raise ValueError(f"student must have the teacher's sizes M, d, D = {f.M}, {f.d}, {f.D}, got {sizes}")
        if W_V.dtype != f.V_star.dtype:
            raise TypeError(f"student must have the teacher's dtype {f.V_star.dtype}, got {W_V.dtype}")
        if student.sigma != f.sigma:
            raise ValueError(f"student must have the teacher's slope {f.sigma.slope:g}, got {student.sigma.slope:g}")
    return copy.deepcopy(student)


def _token_shape(teacher, student, inputs) -> tuple[int, int]:
    if isinstance(teacher, Teacher):
        return teacher.d, teacher.D
    if not callable(teacher):
        raise TypeError(f"teacher must be a Teacher or a function X → Y, got {type(teacher).__name__}")
    if isinstance(inputs, Tensor) and inputs.ndim == 3:
        return tuple(inputs.shape[1:])
    if isinstance(getattr(student, "P", None), Tensor):
        D = len(student.P)
        if hasattr(student, "W_V"):
            return student.W_V.shape[1], D
        if hasattr(student, "W_V_tilde"):  # reads [X; P]
            return student.W_V_tilde.shape[1] - D, D
    raise ValueError(
        "the sizes d and D are unknown: give a Teacher, a student of bilinear.students, or a tensor of inputs"
    )


def _generator(seed, student) -> torch.Generator:
    return torch.Generator(next(student.parameters()).device).manual_seed(checks.integer("seed", seed, 0))

"""One-layer attention and in-context recall (arXiv 2505.15009): the tasks, the layer, its training and its laws.

A sentence z_1 … z_H of tokens ends with a trigger q. Earlier it contains q followed by an output y, and in the noisy
task also q followed by the noise token τ. The next token is y, or τ with probability α. Everything is written in token
coordinates: with orthonormal embeddings E(j), Ẽ(j) the layer depends on its matrices only through their entries
between these vectors, and zero weights never leave their span. So a token is x_h = (e_{z_h}, e_{z_{h−1}}) with 2N
coordinates, V stands for EᵀV, and F for EᵀF. Laws are derived in the chapter `neighbours/in-context-recall`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import checks, descent
from ..descent import Run

ATTENTION = ("linear", "relu", "softmax")


@dataclass(frozen=True, eq=False)
class Sentences:
    """n sentences: `tokens` n × H, the next token `label` n, and the `output` n that the context names."""

    tokens: Tensor
    label: Tensor
    output: Tensor


@dataclass(frozen=True)
class Recall:
    """The recall task. Tokens 0 … N−1: first the triggers, then the outputs, then neutral tokens; N−1 is the noise.

    `alpha` None is the noiseless task: one pair (q, y) and label y. Else there is also a pair (q, τ), and the label is
    τ with probability α. The trigger and the output are uniform, all other places hold uniform neutral tokens.
    The paper's sizes are N = 60, H = 256, 5 triggers, 4 outputs, α ∈ {.2, .5, .8}; where the pairs stand and what fills
    the rest is our choice: the pairs stand at random places and do not overlap.
    Raises ValueError where no neutral token is left, H < 6, or α is not inside (0, 1).

    >>> task = Recall(N=12, H=8, triggers=2, outputs=3, alpha=0.5)
    >>> task.noise, task.sample(4, torch.Generator().manual_seed(0)).tokens.shape, round(task.bayes_risk, 4)
    (11, torch.Size([4, 8]), 0.6931)
    """

    N: int = 60
    H: int = 64
    triggers: int = 5
    outputs: int = 4
    alpha: float | None = None

    def __post_init__(self):
        plain = {name: checks.integer(name, getattr(self, name), 1) for name in ("triggers", "outputs")}
        plain["N"] = checks.integer("N", self.N, plain["triggers"] + plain["outputs"] + 2, checks.ROWS)
        plain["H"] = checks.integer("H", self.H, 6, checks.ROWS)
        plain["alpha"] = None if self.alpha is None else _inside("alpha", self.alpha)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def noise(self) -> int:
        """τ, the last token."""
        return self.N - 1

    @property
    def bayes_risk(self) -> float:
        """The least expected loss of any predictor: 0 without noise, else the entropy H(α) of the label."""
        return 0.0 if self.alpha is None else entropy(self.alpha)

    def sample(self, n: int, generator: torch.Generator, *, unseen: bool = False) -> Sentences:
        """n independent sentences; with `unseen` the output is a neutral token, which no training sentence has."""
        checks.instance("generator", generator, torch.Generator)
        n, neutral = checks.integer("n", n, 1, checks.ENTRIES // self.H), self.triggers + self.outputs
        unseen = checks.instance("unseen", unseen, bool)

        def draw(low: int, high: int, *shape: int) -> Tensor:
            return torch.randint(low, high, shape or (n,), generator=generator)

        trigger = draw(0, self.triggers)
        output = draw(neutral, self.noise) if unseen else draw(self.triggers, neutral)
        tokens, rows = draw(neutral, self.noise, n, self.H), torch.arange(n)
        tokens[:, -1] = trigger
        if self.alpha is None:
            start = draw(0, self.H - 2)
            tokens[rows, start], tokens[rows, start + 1] = trigger, output
            return Sentences(tokens, output, output)
        ends = draw(0, self.H - 4, 2, n).sort(0).values
        starts = torch.stack([ends[0], ends[1] + 2])  # at least two apart, so that the pairs do not overlap
        starts = torch.where(torch.rand(n, generator=generator) < 0.5, starts, starts.flip(0))
        for start, token in zip(starts, (output, self.noise), strict=True):
            tokens[rows, start] = trigger
            tokens[rows, start + 1] = torch.as_tensor(token)
        is_noise = torch.rand(n, generator=generator) < self.alpha
        return Sentences(tokens, torch.where(is_noise, self.noise, output), output)

    def risk(self, layer: Layer, sentences: Sentences) -> Tensor:
        """Mean loss of `layer` on these sentences, the label averaged out exactly; a 0-dim tensor."""
        checks.instance("layer", layer, Layer)
        checks.instance("sentences", sentences, Sentences)
        logits = layer(sentences.tokens)
        found = losses(logits, sentences.output).mean()
        if self.alpha is None:
            return found
        noise = torch.full_like(sentences.output, self.noise)
        return (1 - self.alpha) * found + self.alpha * losses(logits, noise).mean()


@dataclass(frozen=True, eq=False)
class Layer:
    """One attention layer with a linear feed-forward part, read at the last token, in token coordinates.

    a_h = act(x_Hᵀ W x_h), φ = Σ_h a_h x_h, logits = V φ + F (x_H + κφ). Shapes: `V` N × 2N, `W` 2N × 2N, `F` N × 2N; a
    call maps tokens n × H to logits n × N. `attention` is act: "linear", "relu" or "softmax". `nudge` is added before
    ReLU: at zero weights its derivative is zero without it. Coordinates 0 … N−1 are E, the others Ẽ; x_1 has no Ẽ.
    Raises ValueError for shapes that do not meet, an unknown `attention`, and tokens outside 0 … N−1.

    >>> layer = reparametrised(Recall(N=12, triggers=2, outputs=3), [3.0, 3.0])
    >>> layer(torch.tensor([[7, 1, 4, 9, 8, 1]])).round()      # trigger 1 was followed by 4
    tensor([[0., 0., 0., 0., 3., 0., 0., 0., 0., 0., 0., 0.]], dtype=torch.float64)
    """

    V: Tensor
    W: Tensor
    F: Tensor
    attention: str = "linear"
    kappa: float = 1.0
    nudge: float = 1e-8

    def __post_init__(self):
        if not isinstance(self.attention, str) or self.attention not in ATTENTION:
            raise ValueError(f"attention must be one of {', '.join(ATTENTION)}, got {self.attention!r}")
        plain = {"kappa": checks.real("kappa", self.kappa), "nudge": checks.real("nudge", self.nudge, least=0)}
        V = checks.array("V", self.V, ("N", "2N"))
        N = len(V)
        plain["V"] = checks.array("V", V, (N, 2 * N))
        plain["W"] = checks.array("W", self.W, (2 * N, 2 * N), like=V)
        plain["F"] = checks.array("F", self.F, (N, 2 * N), like=V)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(a, φ, x_H) of each sentence: n × H, n × 2N, n × 2N."""
        N = len(self.V)
        shaped = checks.dense("tokens", tokens, whole=True).ndim == 2 and len(tokens) and tokens.shape[1] > 1
        if not shaped or not 0 <= int(tokens.min()) <= int(tokens.max()) < N:
            raise ValueError(f"tokens must be n × H with H ≥ 2 and entries in 0 … {N - 1}, got {tuple(tokens.shape)}")
        n, tokens = len(tokens), tokens.long()
        before = torch.cat([torch.full((n, 1), N), tokens[:, :-1]], dim=1) + N  # 2N: no token before the first
        W = torch.nn.functional.pad(self.W, (0, 1))
        row = W[tokens[:, -1]] + W[before[:, -1]]  # x_Hᵀ W      (n, 2N+1)
        scores = row.gather(1, tokens) + row.gather(1, before)  # (n, H)
        if self.attention == "softmax":
            a = torch.softmax(scores, dim=1)
        else:
            a = torch.relu(scores + self.nudge) if self.attention == "relu" else scores
        zero = W.new_zeros(n, 2 * N + 1)
        phi = zero.scatter_add(1, tokens, a).scatter_add(1, before, a)[:, :-1]
        one = W.new_ones(n, 1)
        x_H = zero.scatter(1, tokens[:, -1:], one).scatter(1, before[:, -1:], one)[:, :-1]
        return a, phi, x_H

    def parts(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What attention and the feed-forward part add to the logits: V φ and F (x_H + κφ), each n × N."""
        _, phi, x_H = self.read(tokens)
        return phi @ self.V.T, (x_H + self.kappa * phi) @ self.F.T

    def __call__(self, tokens: Tensor) -> Tensor:
        attention, feed_forward = self.parts(tokens)
        return attention + feed_forward


def reparametrised(
    task: Recall, margins, *, gamma=None, attention: str = "linear", kappa: float = 1.0, value=1.0
) -> Layer:
    """The paper's reduced layer, in which the margins λ_q are the parameters.

    V = I (times `value`, ours). Noiseless: W = Σ_q λ_q E(q)Ẽ(q)ᵀ, F = 0. Noisy: W = Σ_q λ_q E(q)(Ẽ(q) − E(τ))ᵀ and
    F = E(τ) Σ_q (γ E(q) + Ẽ(q))ᵀ, with γ = log(α/(1−α)) unless `gamma` gives another. `margins`: one number a trigger.

    >>> task = Recall(N=12, triggers=2, outputs=3, alpha=0.8)
    >>> tokens = torch.tensor([[7, 1, 4, 9, 1, 11, 8, 1]])          # 1 was followed by 4, and by the noise token 11
    >>> [part[0, [4, 11]].tolist() for part in reparametrised(task, [3.0, 3.0]).parts(tokens)]
    [[3.0, 0.0], [0.0, 4.386294361119891]]
    """
    checks.instance("task", task, Recall)
    margins = checks.array("margins", margins, (task.triggers,))
    N, q = task.N, torch.arange(task.triggers)
    value = _trained("value", value, ())
    V = value * torch.eye(N, 2 * N, dtype=margins.dtype)
    zero = margins.new_zeros(2 * N, 2 * N)
    W, F = zero.index_put((q, N + q), margins), V.new_zeros(N, 2 * N)
    if task.alpha is not None:
        gamma = math.log(task.alpha / (1 - task.alpha)) if gamma is None else gamma
        gamma = _trained("gamma", gamma, (task.triggers,))
        W = W - zero.index_put((q, torch.full_like(q, task.noise)), margins)
        on_q = torch.as_tensor(gamma, dtype=margins.dtype).expand(task.triggers)
        noise = torch.full_like(q, task.noise)
        F = F.index_put((noise, q), on_q).index_put((noise, N + q), torch.ones_like(on_q))
    return Layer(V, W, F, attention, kappa)


def _trained(name: str, value, shape: tuple):
    """A number; or a tensor of one or of this shape, which may be trained."""
    if not isinstance(value, Tensor):
        return checks.real(name, value)
    return checks.array(name, value, shape if value.ndim else ())


def losses(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of each row, log(1 + Σ_{v≠label} e^{ℓ_v − ℓ_label}), accurate however small it is.

    Shapes: `logits` n × N, `label` n; returns n.

    >>> losses(torch.tensor([[90.0, 0.0]], dtype=torch.float64), torch.tensor([0])).item() == math.exp(-90)
    True
    """
    checks.finite("logits", logits)
    if logits.ndim != 2 or not logits.numel():
        raise ValueError(f"logits must be n × N, got {tuple(logits.shape)}")
    if checks.dense("label", label, whole=True).shape != logits.shape[:1]:
        raise ValueError(f"label must have one entry a row of logits, {len(logits)}, got {tuple(label.shape)}")
    if not 0 <= int(label.min()) <= int(label.max()) < logits.shape[1]:
        raise ValueError(f"label must have entries in 0 … {logits.shape[1] - 1}, got {label.min()} to {label.max()}")
    label = label.long()
    over = logits - logits.gather(1, label[:, None])
    others = over.scatter(1, label[:, None], -math.inf)
    return torch.nn.functional.softplus(torch.logsumexp(others, dim=1), threshold=700)


def train(
    task: Recall,
    start: Mapping[str, Tensor],
    build: Callable[..., Layer],
    *,
    eta: float,
    steps: int,
    seed: int,
    batch: int = 256,
    data: Sentences | None = None,
    normalise: bool = True,
    record: Iterable[int] | None = None,
    watch: Callable | None = None,
    test: int = 2000,
) -> Run:
    """Gradient descent on the cross-entropy, each parameter's gradient divided by that parameter's own norm.

    A *parameter* is an entry of `start`; `build(**parameters)` makes the layer. So {"margins": λ} takes one norm over
    all of λ, and one entry a trigger takes one norm each. A gradient that is exactly zero moves nothing. Each step uses
    a fresh `batch`, or the fixed sentences `data` in full. `normalise` False is plain gradient descent.
    `record` and `watch(**parameters)` as in `descent.descend`. Columns: `t`, the batch's `loss`, the `risk` on `test`
    sentences drawn once, and the risk on `unseen` outputs: the same sentences but for the output. Weights: the
    parameters, under their names. Raises as `descent.descend`.

    >>> task = Recall(N=12, H=8, triggers=2, outputs=3)
    >>> run = train(task, {"margins": torch.zeros(2).double()}, lambda margins: reparametrised(task, margins),
    ...             eta=0.1, steps=50, seed=0, record=[0, 50])
    >>> run.t.tolist(), bool(np.allclose(run.risk, run.unseen, rtol=1e-12))
    ([0, 50], True)
    """
    checks.instance("task", task, Recall)
    checks.instance("build", build, Callable)
    normalise = checks.instance("normalise", normalise, bool)
    for name, w in checks.instance("start", start, Mapping).items():
        checks.finite(f"{name} in start", w)
    if watch is not None:
        checks.instance("watch", watch, Callable)
    if data is not None:
        checks.instance("data", data, Sentences)
    eta, seed = checks.real("eta", eta, above=0), checks.integer("seed", seed, 0)
    batch, test = checks.integer("batch", batch, 1), checks.integer("test", test, 1)
    generator = torch.Generator().manual_seed(seed)
    tests = {
        name: task.sample(test, torch.Generator().manual_seed((2**32 + seed) % 2**63), unseen=name == "unseen")
        for name in ("risk", "unseen")
    }

    def loss(**parameters):
        sentences = task.sample(batch, generator) if data is None else data
        return losses(build(**parameters)(sentences.tokens), sentences.label).mean()

    slopes = descent.by_autograd(loss)

    def normalised(**parameters):
        value, to = slopes(**parameters)
        return value, {name: slope / _length(slope) for name, slope in to.items()}

    def risks(**parameters):
        layer = build(**parameters)
        found = {name: task.risk(layer, sentences) for name, sentences in tests.items()}
        return found | (watch(**parameters) if watch else {})

    return descent.descend(normalised if normalise else slopes, start, eta, steps, record=record, watch=risks)


def free(task: Recall) -> dict[str, Tensor]:
    """All three matrices at zero: the fully trained layer's start."""
    N = checks.instance("task", task, Recall).N
    shapes = {"V": (N, 2 * N), "W": (2 * N, 2 * N), "F": (N, 2 * N)}
    return {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}


def margin_dynamics(shares, N: int, eta: float, steps: int, norm: str = "joint") -> np.ndarray:
    """The noiseless margins λ_q after 0 … `steps` steps: an array (steps + 1) × |Q|, no sentences needed.

    The loss is Σ_q `shares`_q log(1 + (N−1)e^{−λ_q}); its slope in λ_q is −`shares`_q/(1 + e^{λ_q}/(N−1)).
    `norm` divides it: "joint" by the Euclidean norm of all slopes, "sum" by their absolute sum, "own" each by itself,
    "none" by one. Raises ValueError for shares that do not add up to one and an unknown `norm`, and for η > 300.

    >>> margin_dynamics([0.2] * 5, 60, 0.1, 400)[-1].round(3)      # 40/√5
    array([17.889, 17.889, 17.889, 17.889, 17.889])
    """
    shares = checks.numbers("shares", shares, least=0, line=True)
    if abs(shares.sum() - 1) > 1e-9:
        raise ValueError(f"shares must add up to 1, got {shares.sum():g}")
    N, steps, eta = (
        checks.integer("N", N, 2),
        checks.integer("steps", steps, 0, checks.ENTRIES // len(shares)),
        checks.real("eta", eta, above=0, most=300),
    )
    lengths = {"joint": np.linalg.norm, "sum": np.sum, "own": lambda s: np.where(s > 0, s, 1), "none": lambda s: 1.0}
    if not isinstance(norm, str) or norm not in lengths:
        raise ValueError(f"norm must be one of {', '.join(lengths)}, got {norm!r}")
    found = np.zeros((steps + 1, len(shares)))
    for t in range(steps):
        with np.errstate(divide="ignore"):  # a share of zero
            logs = np.log(shares) - np.logaddexp(0, found[t] - math.log(N - 1))
        slope = np.exp(logs if norm == "none" else logs - logs.max())  # the squares of tiny slopes do not underflow
        found[t + 1] = found[t] + eta * slope / lengths[norm](slope)
    return found


def noiseless_loss(N: int, margin):
    """log(1 + (N−1)e^{−λ}): the loss of V = I and margin λ on **every** noiseless sentence. `margin` may be an array.

    >>> round(float(noiseless_loss(60, 0.0)), 4), round(math.log(60), 4)
    (4.0943, 4.0943)
    """
    return np.log1p((checks.integer("N", N, 2) - 1) * np.exp(-checks.numbers("margin", margin, least=-700)))


def noisy_loss(N: int, alpha: float, margin):
    """H(α) + log(1 + (N−2)(1−α)e^{−Λ}): the noisy risk of the reduced layer with γ = log(α/(1−α)) and κ = 1.

    >>> round(float(noisy_loss(60, 0.5, 5.0)), 4)
    0.8716
    """
    excess = np.log1p(
        (checks.integer("N", N, 3) - 2)
        * (1 - _inside("alpha", alpha))
        * np.exp(-checks.numbers("margin", margin, least=-700))
    )
    return entropy(alpha) + excess


def softmax_floor(N: int, value: float = 1.0) -> float:
    """log(1 + (N−1)e^{−ν}), the least loss of softmax attention with V = νI, ν ≥ 0, whatever W is.

    >>> round(softmax_floor(60), 4)
    3.1226
    """
    return float(noiseless_loss(N, checks.real("value", value, least=0)))


def entropy(alpha: float) -> float:
    """H(α) = −α log α − (1−α) log(1−α), in nats."""
    alpha = _inside("alpha", alpha)
    return -alpha * math.log(alpha) - (1 - alpha) * math.log1p(-alpha)


def finite_sample_excess(samples: int, alpha: float) -> float:
    """E KL(α ‖ α̂) where α̂ is the share of τ among `samples` labels: the exact mean excess risk of the fitted γ.

    1/(2M) to leading order. A sample with all labels alike would give infinity and is left out (the rest keep their
    probabilities). Assumes large margins. Derived in `neighbours/in-context-recall`.

    >>> round(2 * 2048 * finite_sample_excess(2048, 0.5), 4)
    1.0007
    """
    samples, alpha = checks.integer("samples", samples, 2, checks.ENTRIES // 10), _inside("alpha", alpha)
    counts = np.arange(1, samples)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, samples + 1)))])
    log_binomial = log_factorial[samples] - log_factorial[counts] - log_factorial[samples - counts]
    weights = np.exp(log_binomial + counts * math.log(alpha) + (samples - counts) * math.log1p(-alpha))
    return float(weights @ divergence(alpha, counts / samples))


def divergence(alpha: float, guess):
    """KL(α ‖ α̂) = α log(α/α̂) + (1−α) log((1−α)/(1−α̂)): what predicting τ with probability α̂ costs.

    >>> float(divergence(0.5, 0.5))
    0.0
    """
    alpha, guess = _inside("alpha", alpha), checks.numbers("guess", guess, above=0)
    if (bad := guess[(guess < 1 / checks.HUGE) | (guess >= 1)]).size:
        raise ValueError(f"guess must be less than 1, and at least {1 / checks.HUGE:g}, got {bad[0]:g}")
    return alpha * np.log(alpha / guess) + (1 - alpha) * np.log((1 - alpha) / (1 - guess))


def _inside(name: str, value) -> float:
    value = checks.real(name, value, above=0)
    if not value < 1:
        raise ValueError(f"{name} must be less than 1, got {value:g}")
    return value


def _length(slope: Tensor) -> Tensor | float:
    """The norm, formed so that the squares of tiny slopes do not underflow; one where it is zero."""
    largest = slope.abs().max()
    return largest * (slope / largest).norm() if largest > 0 else 1.0

"""In-context recall: the tasks, the layer, its training, and the laws of `neighbours/in-context-recall`."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bilinear.neighbours.in_context_recall import (
    ATTENTION,
    Layer,
    Recall,
    Sentences,
    divergence,
    entropy,
    finite_sample_excess,
    free,
    losses,
    margin_dynamics,
    noiseless_loss,
    noisy_loss,
    reparametrised,
    softmax_floor,
    train,
)

from .cases import normal

EQUAL = {"rtol": 1e-11, "atol": 1e-11}  # the same sums of at most a few hundred products, in another order
SMALL = {"N": 12, "H": 9, "triggers": 3, "outputs": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def path(**parameters):
    """Watches the parameters themselves."""
    return {f"path_{name}": w for name, w in parameters.items()}


def random_layer(N, attention, seed=0, scale=0.4, **options):
    V, W, F = (scale * normal(seed + k, *shape) for k, shape in enumerate([(N, 2 * N), (2 * N, 2 * N), (N, 2 * N)]))
    return Layer(V, W, F, attention, **options)


@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("unseen", [False, True])
def test_sentences_are_those_of_the_task(alpha, unseen):
    task = Recall(**SMALL, alpha=alpha)
    drawn = task.sample(3000, seeded(), unseen=unseen)
    after = {}
    for tokens, label, output in zip(drawn.tokens.tolist(), drawn.label.tolist(), drawn.output.tolist(), strict=True):
        q = tokens[-1]
        assert q < 3
        assert (5 <= output < 11) if unseen else (3 <= output < 5)
        places = [h for h in range(8) if tokens[h] == q]
        followers = [tokens[h + 1] for h in places]
        assert sorted(followers) == sorted([output] if alpha is None else [output, 11])
        assert label == output if alpha is None else label in (output, 11)
        rest = [z for h, z in enumerate(tokens[:-1]) if h not in places and h - 1 not in places]
        assert all(5 <= z < 11 for z in rest)
        for h in places:
            after[h] = after.get(h, 0) + 1
    assert set(after) == set(range(7))  # every place occurs, from the first to the last but two
    if alpha is not None:  # 4 standard errors: one draw in 16 000 by chance
        share = (drawn.label == task.noise).double().mean().item()
        assert abs(share - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 3000)


def dense_logits(embed, embed_before, V, W, F, tokens, attention, kappa, nudge):
    """The definition, with d-dimensional embeddings as columns and loops over the places."""
    x = [embed[:, z] + (embed_before[:, tokens[h - 1]] if h else 0) for h, z in enumerate(tokens)]
    scores = torch.stack([x[-1] @ W @ x_h for x_h in x])
    a = {"linear": scores, "relu": torch.relu(scores + nudge), "softmax": torch.softmax(scores, 0)}[attention]
    phi = sum(weight * x_h for weight, x_h in zip(a, x, strict=True))
    return embed.T @ V @ phi + embed.T @ F @ (x[-1] + kappa * phi)


def test_either_pair_may_come_first_and_the_noise_is_the_label_as_often_as_it_should():
    """In half of the sentences the output's pair stands before the noise token's; α of the labels are τ."""
    task, n = Recall(**SMALL, alpha=0.3), 4000
    tokens, label, output = (lambda s: (s.tokens, s.label, s.output))(task.sample(n, seeded()))
    first_output = (tokens[:, :-1] == output[:, None]).double().argmax(1)
    first_noise = (tokens[:, :-1] == task.noise).double().argmax(1)
    assert abs((first_output < first_noise).double().mean() - 0.5) < 4 * 0.5 / n**0.5
    assert abs((label == task.noise).double().mean() - 0.3) < 4 * (0.3 * 0.7 / n) ** 0.5
    for place in (first_output, first_noise):  # every place is used, from the second token to the last but one
        assert place.unique().tolist() == list(range(1, task.H - 1))


def test_the_seed_decides_on_the_test_sentences():
    """Another seed, other sentences: another risk of the same layer; the same seed, the same risk."""
    task, start = Recall(**SMALL), {"margins": torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)}

    def risk(seed):
        options = {"eta": 0.1, "steps": 0, "seed": seed, "test": 50}
        return train(task, start, lambda margins: reparametrised(task, margins), **options).risk[0]

    risks = [risk(seed) for seed in range(5)]
    assert len(set(risks)) > 1
    assert risk(3) == risks[3]


@pytest.mark.parametrize("attention", ATTENTION)
def test_the_layer_is_its_definition_with_any_orthonormal_embeddings(attention):
    N, d, kappa, nudge = 12, 30, 0.7, 0.05
    both = torch.linalg.qr(normal(0, d, 2 * N)).Q  # d × 2N, orthonormal columns
    embed, before = both[:, :N], both[:, N:]
    layer = random_layer(N, attention, 3, kappa=kappa, nudge=nudge)
    V, W, F = embed @ layer.V @ both.T, both @ layer.W @ both.T, embed @ layer.F @ both.T
    tokens = Recall(**SMALL).sample(5, seeded()).tokens
    for row, logits in zip(tokens, layer(tokens), strict=True):
        expected = dense_logits(embed, before, V, W, F, row.tolist(), attention, kappa, nudge)
        torch.testing.assert_close(logits, expected, **EQUAL)


@pytest.mark.parametrize("attention", ATTENTION)
def test_training_in_token_coordinates_is_training_with_embeddings(attention):
    """Same steps, each matrix's gradient over its own norm; the embedded matrices are d × d."""
    task, d, eta = Recall(**SMALL, alpha=0.4), 30, 0.3
    both = torch.linalg.qr(normal(0, d, 24)).Q
    embed = both[:, :12]
    data = task.sample(20, seeded(1))
    run = train(task, free(task), partial(Layer, attention=attention), eta=eta, steps=4, seed=0, data=data, test=5)
    matrices = [torch.zeros(d, d, dtype=torch.float64) for _ in range(3)]
    for _ in range(4):
        leaves = [matrix.requires_grad_() for matrix in matrices]
        logits = torch.stack(
            [dense_logits(embed, both[:, 12:], *leaves, row, attention, 1.0, 1e-8) for row in data.tokens.tolist()]
        )
        loss = torch.nn.functional.cross_entropy(logits, data.label)
        slopes = torch.autograd.grad(loss, leaves)
        matrices = [
            w.detach() - (eta * g / g.norm() if g.norm() > 0 else 0 * g) for w, g in zip(leaves, slopes, strict=True)
        ]
    V, W, F = matrices
    tolerance = {"rtol": 1e-8, "atol": 1e-8}  # a division by norms down to the nudge, 1e-8, keeps eight digits
    torch.testing.assert_close(run.V, embed.T @ V @ both, **tolerance)
    torch.testing.assert_close(run.W, both.T @ W @ both, **tolerance)
    torch.testing.assert_close(run.F, embed.T @ F @ both, **tolerance)


@given(st.integers(1, 4), st.integers(1, 3), st.floats(0.05, 0.95), st.floats(0, 30), st.booleans())
def test_the_reduced_laws_hold_on_every_sentence(triggers, outputs, alpha, margin, unseen):
    N = triggers + outputs + 6
    margins = torch.full((triggers,), margin, dtype=torch.float64)
    for attention, tolerance in (("linear", 1e-10), ("relu", 1e-6)):  # rounding; the nudge 1e-8 at each place
        task = Recall(N, 8, triggers, outputs)
        drawn = task.sample(20, seeded(), unseen=unseen)
        found = losses(reparametrised(task, margins, attention=attention)(drawn.tokens), drawn.output)
        np.testing.assert_allclose(found, noiseless_loss(N, margin), rtol=tolerance, atol=0)
        task = Recall(N, 8, triggers, outputs, alpha)
        layer, drawn = reparametrised(task, margins, attention=attention), task.sample(20, seeded(), unseen=unseen)
        for row in range(20):
            one = Sentences(drawn.tokens[row : row + 1], drawn.label[row : row + 1], drawn.output[row : row + 1])
            assert float(task.risk(layer, one)) == pytest.approx(float(noisy_loss(N, alpha, margin)), rel=tolerance)


def test_the_parts_are_one_token_each():
    task = Recall(**SMALL, alpha=0.3)
    drawn, gamma = task.sample(30, seeded()), math.log(0.3 / 0.7)
    attention, feed_forward = reparametrised(task, [2.0, 2.0, 2.0]).parts(drawn.tokens)
    expected = torch.zeros(30, 12, dtype=torch.float64)
    torch.testing.assert_close(attention, expected.scatter(1, drawn.output[:, None], 2.0), **EQUAL)
    expected[:, task.noise] = gamma + 2
    torch.testing.assert_close(feed_forward, expected, **EQUAL)
    blind = reparametrised(task, [2.0, 2.0, 2.0], kappa=0.0).parts(drawn.tokens)[1]
    assert blind[:, task.noise].numpy() == pytest.approx(gamma, abs=1e-12)


def test_one_sentence_a_trigger_is_the_population():
    """Autograd through the layer against the margins' own map; 1e-10: rounding over 200 steps."""
    task = Recall(**SMALL)
    drawn = task.sample(100, seeded())
    rows = [drawn.tokens[:, -1].tolist().index(q) for q in range(3)]
    data = Sentences(drawn.tokens[rows], drawn.label[rows], drawn.output[rows])
    zero = torch.zeros(3, dtype=torch.float64)

    def reduced(margins):
        return reparametrised(task, margins)

    def apart(**margin):
        return reduced(torch.stack([margin[f"q{q}"] for q in range(3)]))

    options = {"eta": 0.1, "steps": 200, "seed": 0, "data": data, "test": 5, "watch": path}
    joint = train(task, {"margins": zero}, reduced, **options)
    own = train(task, {f"q{q}": zero[q] for q in range(3)}, apart, **options)
    plain = train(task, {"margins": zero}, reduced, normalise=False, **options)
    found = {
        "joint": joint.path_margins,
        "own": np.stack([own.path_q0, own.path_q1, own.path_q2], 1),
        "none": plain.path_margins,
    }
    for norm, margins in found.items():
        expected = margin_dynamics([1 / 3] * 3, 12, 0.1, 200, norm)
        np.testing.assert_allclose(margins, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(joint.risk, noiseless_loss(12, 0.1 * joint.t / math.sqrt(3)), rtol=1e-10)


@pytest.mark.parametrize(("norm", "speed"), [("joint", 5**-0.5), ("own", 1.0), ("sum", 0.2)])
def test_the_speed_of_the_margins(norm, speed):
    path = margin_dynamics([0.2] * 5, 60, 0.1, 100, norm)
    np.testing.assert_allclose(path, 0.1 * speed * np.arange(101)[:, None] * np.ones(5), rtol=1e-12, atol=1e-14)


def test_plain_descent_follows_its_integral():
    """e^λ + (N−1)λ = 1 + (N−1)s; a step of Euler's method is off by η p/(2|Q|) of its time, 0.02 at the start."""
    path = margin_dynamics([0.25] * 4, 20, 0.1, 5000, "none")[1:, 0]
    s = 0.1 * np.arange(1, 5001) / 4
    assert np.abs((np.exp(path) + 19 * path - 1) / 19 - s).max() < 0.1 / 4 * 3
    assert np.abs((np.exp(path) + 19 * path - 1) / 19 / s - 1)[-1] < 1e-3
    assert s[-1] * noiseless_loss(20, path[-1]) == pytest.approx(1 + path[-1] / s[-1], abs=0.02)  # λ²/s² and 1/s


def test_unequal_triggers_keep_a_constant_distance():
    path = margin_dynamics([0.8, 0.2], 60, 0.02, 3000)
    assert path[-1, 0] - path[-1, 1] == pytest.approx(math.log(4), abs=1e-6)
    np.testing.assert_allclose((path[-1] - path[-501]) / 500, 0.02 / math.sqrt(2), rtol=1e-6)
    assert margin_dynamics([1.0, 0.0], 60, 0.1, 50)[-1].tolist() == pytest.approx([5.0, 0.0])


@pytest.mark.parametrize("batch", [1, 7])
def test_any_batch_moves_the_noisy_margin_by_eta(batch):
    task = Recall(**SMALL, alpha=0.2)
    run = train(
        task,
        {"margin": torch.zeros((), dtype=torch.float64)},
        lambda margin: reparametrised(task, margin.expand(3)),
        eta=0.25,
        steps=40,
        batch=batch,
        seed=3,
        test=20,
        watch=path,
    )
    np.testing.assert_allclose(run.path_margin, 0.25 * run.t, rtol=1e-12)
    np.testing.assert_allclose(run.risk, noisy_loss(12, 0.2, 0.25 * run.t), rtol=1e-11)
    np.testing.assert_allclose(run.unseen, run.risk, rtol=1e-11)


def test_losses_keep_their_digits():
    logits = torch.tensor([[0.0, 0.0, 0.0], [300.0, 0.0, -400.0], [-800.0, 0.0, 1.0]], dtype=torch.float64)
    found = losses(logits, torch.tensor([2, 0, 0])).tolist()
    assert found == pytest.approx([math.log(3), math.exp(-300), 800 + math.log(1 + math.e)], rel=1e-13)
    logits, label = normal(0, 40, 7), torch.arange(40) % 7
    expected = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    torch.testing.assert_close(losses(logits, label), expected, **EQUAL)
    leaf = torch.tensor([[200.0, 0.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(losses(leaf, torch.tensor([0])).sum(), leaf)
    assert slope[0].tolist() == pytest.approx([-math.exp(-200), math.exp(-200)], rel=1e-12)  # not rounded to zero


def test_steps_keep_their_length_when_squares_of_slopes_underflow():
    """At margin 500 the slopes are e^-500; their squares are below the least float64."""
    task, margins = Recall(**SMALL), torch.full((3,), 500.0, dtype=torch.float64)
    start, build = {"margins": margins}, lambda margins: reparametrised(task, margins)
    run = train(task, start, build, eta=0.1, steps=5, seed=0, watch=path)
    moved = np.linalg.norm(np.diff(run.path_margins, axis=0), axis=1)
    assert moved == pytest.approx([0.1] * 5, rel=1e-10)  # a difference of numbers near 500
    margins = margin_dynamics([0.2] * 5, 60, 2.0, 700)  # to λ = 626
    np.testing.assert_allclose(margins[:, 0], 2.0 * np.arange(701) / math.sqrt(5), rtol=1e-11, atol=1e-12)


def test_each_parameter_moves_by_eta_or_not_at_all():
    task = Recall(**SMALL)
    run = train(task, free(task), Layer, eta=0.2, steps=6, batch=16, seed=0, test=5, watch=path)
    moved = {name: np.linalg.norm(np.diff(getattr(run, f"path_{name}"), axis=0), axis=(1, 2)) for name in "VWF"}
    assert moved["V"][0] == moved["W"][0] == 0.0  # linear attention at zero: F moves first, then W, then V
    assert moved["V"][1] == 0.0
    for name, first in (("F", 0), ("W", 1), ("V", 2)):
        assert moved[name][first:] == pytest.approx([0.2] * (6 - first), rel=1e-12)
    stuck = train(task, free(task), partial(Layer, kappa=0.0), eta=0.2, steps=6, batch=16, seed=0, test=5)
    assert not stuck.V.any()
    assert not stuck.W.any()


def test_relu_is_dead_without_the_nudge():
    task, start = Recall(**SMALL), {"margins": torch.zeros(3, dtype=torch.float64)}
    for nudge, grows in ((0.0, False), (1e-8, True)):

        def build(margins, nudge=nudge):
            layer = reparametrised(task, margins)
            return Layer(layer.V, layer.W, layer.F, "relu", nudge=nudge)

        run = train(task, start, build, eta=0.1, steps=3, seed=0, test=5)
        assert bool(run.margins.any()) is grows


@pytest.mark.parametrize("attention", ["relu", "softmax"])
@pytest.mark.parametrize("alpha", [None, 0.5])
def test_a_token_that_is_never_a_label_is_never_likely(attention, alpha):
    task = Recall(**SMALL, alpha=alpha)
    build = partial(Layer, attention=attention)
    drawn = task.sample(200, seeded(5), unseen=True)
    never = [*range(3), *range(5, 11), *([] if alpha else [11])]

    def likely(**parameters):
        chances = torch.softmax(build(**parameters)(drawn.tokens), 1)
        return {"never": chances[:, never].max(), "outputs": chances[:, 3:5].max()}

    options = {"eta": 0.2, "steps": 60, "batch": 32, "seed": 1, "test": 50, "record": [0, 5, 20, 60]}
    run = train(task, free(task), build, **options, watch=likely)
    assert run.never.max() <= 1 / 12 + 1e-12  # rounding
    assert run.outputs[-1] > 0.3  # what is a label is not held down
    assert run.unseen[-1] >= (1 - (alpha or 0)) * math.log(12)


@given(st.integers(0, 10**6), st.floats(0, 5))
def test_softmax_never_gets_below_its_floor(seed, value):
    layer = random_layer(12, "softmax", seed, scale=3.0)
    task = Recall(**SMALL)
    drawn = task.sample(50, seeded(seed))
    held = Layer(value * torch.eye(12, 24, dtype=torch.float64), layer.W, 0 * layer.F, "softmax")
    assert float(losses(held(drawn.tokens), drawn.output).min()) >= softmax_floor(12, value) - 1e-12
    reached = reparametrised(task, [50.0] * 3, attention="softmax", value=value)
    assert float(task.risk(reached, drawn)) == pytest.approx(softmax_floor(12, value), rel=1e-10)


def test_finite_sample_excess_by_enumeration():
    M, alpha = 9, 0.3
    total = sum(
        math.comb(M, k) * alpha**k * (1 - alpha) ** (M - k) * float(divergence(alpha, k / M)) for k in range(1, M)
    )
    assert finite_sample_excess(M, alpha) == pytest.approx(total, rel=1e-12)
    for alpha in (0.2, 0.5, 0.8):  # the next order is (1/(α(1−α)) − 1)/(2M) relative, at most 2.7/M here
        assert 2 * 5000 * finite_sample_excess(5000, alpha) == pytest.approx(1, abs=4 / 5000)


def test_divergence_is_the_loss_of_a_wrong_share():
    for alpha, guess in ((0.2, 0.5), (0.7, 0.1)):
        cross = -alpha * math.log(guess) - (1 - alpha) * math.log(1 - guess)
        assert float(divergence(alpha, guess)) == pytest.approx(cross - entropy(alpha), rel=1e-12)
    task = Recall(**SMALL, alpha=0.2)
    layer = reparametrised(task, [45.0] * 3, gamma=0.0)  # predicts the noise token with probability ½
    excess = float(task.risk(layer, task.sample(10, seeded()))) - task.bayes_risk
    assert excess == pytest.approx(float(divergence(0.2, 0.5)), rel=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Recall(N=10), ValueError, "N must be at least 11"),
        (lambda: Recall(H=5), ValueError, "H must be at least 6"),
        (lambda: Recall(alpha=1.0), ValueError, "alpha must be less than 1"),
        (lambda: Recall(alpha=0.0), ValueError, "alpha must be greater than 0"),
        (lambda: Recall(triggers=0), ValueError, "triggers"),
        (lambda: Recall().sample(0, seeded()), ValueError, "n must be at least 1"),
        (lambda: random_layer(12, "max"), ValueError, "attention must be one of linear, relu, softmax"),
        (lambda: Layer(normal(0, 3, 5), normal(0, 6, 6), normal(0, 3, 6)), ValueError, "V must have shape 3 × 6"),
        (lambda: Layer(normal(0, 3, 6), normal(0, 6, 5), normal(0, 3, 6)), ValueError, "W must have shape 6 × 6"),
        (lambda: random_layer(12, "relu", nudge=-1.0), ValueError, "nudge"),
        (lambda: random_layer(12, "relu")(torch.tensor([[3, 12]])), ValueError, "entries in 0 … 11"),
        (lambda: reparametrised(Recall(), [1.0]), ValueError, "margins must have shape 5"),
        (lambda: reparametrised("task", [1.0]), TypeError, "task must be of the class Recall"),
        (lambda: margin_dynamics([0.5, 0.6], 60, 0.1, 3), ValueError, "shares must add up to 1"),
        (lambda: margin_dynamics([0.5, 0.5], 60, 0.1, 3, "max"), ValueError, "norm must be one of"),
        (lambda: softmax_floor(60, -1.0), ValueError, "value must be at least 0"),
        (lambda: finite_sample_excess(1, 0.5), ValueError, "samples must be at least 2"),
        (lambda: train(Recall(), free(Recall()), Layer, eta=0.0, steps=1, seed=0), ValueError, "eta"),
        (lambda: train(Recall(), free(Recall()), Layer, eta=0.1, steps=-1, seed=0), ValueError, "steps"),
        (lambda: train(Recall(), {"margins": [0.0]}, Layer, eta=0.1, steps=1, seed=0), TypeError, "start"),
        (
            lambda: train(Recall(), free(Recall()), Layer, eta=0.1, steps=1, seed=0, record=[2]),
            ValueError,
            "record must be at most steps = 1",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_pairs_multiply_the_margin():
    """A sentence with n pairs (q, y) has the loss log(1 + (N−1)e^{−nλ})."""
    task = Recall(N=12, H=8, triggers=2, outputs=3)
    tokens = torch.tensor([[7, 1, 4, 9, 8, 7, 6, 1], [1, 4, 9, 1, 4, 8, 7, 1], [1, 4, 1, 4, 1, 4, 9, 1]])
    found = losses(reparametrised(task, [2.0, 2.0])(tokens), torch.tensor([4, 4, 4]))
    assert torch.allclose(found, torch.log1p(11 * torch.exp(-2.0 * torch.tensor([1.0, 2, 3]).double())))

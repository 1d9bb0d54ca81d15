"""The students (2.4) and (2.5)."""

import math

import pytest
import torch

from bilinear.activations import Activation
from bilinear.scores import SOFTMAX
from bilinear.students import FullTransformer, PositionOnlyTransformer

from .cases import SLOPES, normal, orthogonal

EQUAL = {"rtol": 1e-12, "atol": 1e-12}  # the same sums of at most 64 products, in another order


def filled(student, seed=0, scale=1.0):
    with torch.no_grad():
        for k, weight in enumerate(student.parameters()):
            weight.copy_(scale * normal(seed + k, *weight.shape))
    return student


@pytest.mark.parametrize("P", [None, orthogonal(0, 5)], ids=["P = I", "random P"])
def test_at_the_start_all_weights_are_zero(P):
    student = PositionOnlyTransformer(3, 2, 5, Activation(0.0), P)
    assert [tuple(w.shape) for w in (student.W_V, student.W_KQ)] == [(3, 2), (5, 5)]
    assert not student.W_V.any()
    assert not student.W_KQ.any()
    assert torch.equal(student.scores(), torch.full((5, 5), 0.2, dtype=torch.float64))
    assert not student(normal(1, 4, 2, 5)).any()
    full = FullTransformer(3, 2, 5, Activation(0.0), P)
    assert not any(block.any() for block in full.blocks().values())
    assert not full(normal(1, 4, 2, 5)).any()


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_a_zero_student_is_not_dead(slope):
    """torch's relu'(0) = 0 would leave W_V = 0 for ever."""
    student = PositionOnlyTransformer(3, 2, 5, Activation(slope))
    X = normal(1, 20, 2, 5)
    loss = 0.5 * (normal(2, 20, 3, 5) - student(X)).square().sum()
    loss.backward()
    expected = -(1 + slope) / 2 * torch.einsum("nmi,ndj->md", normal(2, 20, 3, 5), X) / 5
    torch.testing.assert_close(student.W_V.grad, expected, **EQUAL)


def test_scores_are_a_softmax_down_each_column():
    logits = normal(0, 2, 3, 6, 6)
    S = SOFTMAX(logits)
    powers = torch.exp(logits / math.sqrt(6))
    for i in range(6):
        torch.testing.assert_close(S[..., i], powers[..., i] / powers[..., i].sum(-1, keepdim=True), **EQUAL)
    torch.testing.assert_close(S.sum(-2), torch.ones(2, 3, 6, dtype=torch.float64), **EQUAL)
    assert (S.sum(-1) - 1).abs().max() > 0.1  # and not along the rows
    torch.testing.assert_close(SOFTMAX(logits + normal(1, 6)), S, **EQUAL)
    assert torch.isfinite(SOFTMAX(1e6 * logits)).all()


@pytest.mark.parametrize("slope", SLOPES)
def test_the_position_only_student_is_2_4(slope):
    P, X = orthogonal(0, 5), normal(1, 4, 7, 2, 5)
    student = filled(PositionOnlyTransformer(3, 2, 5, Activation(slope), P))
    logits = torch.tensor(
        [[(P[:, j] @ student.W_KQ.detach() @ P[:, i]).item() for i in range(5)] for j in range(5)], dtype=torch.float64
    )
    S = torch.exp(logits / math.sqrt(5)) / torch.exp(logits / math.sqrt(5)).sum(0)
    torch.testing.assert_close(student.scores().detach(), S, **EQUAL)
    Z = torch.einsum("md,abdj,ji->abmi", student.W_V.detach(), X, S)
    torch.testing.assert_close(student(X).detach(), torch.maximum(Z, slope * Z), **EQUAL)


@pytest.mark.parametrize("slope", SLOPES)
def test_the_full_student_is_2_5(slope):
    M, d, D = 3, 2, 4
    P, X = orthogonal(0, D), normal(1, 5, d, D)
    student = filled(FullTransformer(M, d, D, Activation(slope), P), scale=0.7)
    V, KQ = student.W_V_tilde.detach(), student.W_KQ_tilde.detach()
    assert V.shape == (M, d + D)
    assert KQ.shape == (d + D, d + D)
    for x, output in zip(X, student(X).detach(), strict=True):
        z = [torch.cat([x[:, i], P[:, i]]) for i in range(D)]
        for i in range(D):
            weights = torch.stack([torch.exp(z[j] @ KQ @ z[i] / math.sqrt(D)) for j in range(D)])
            u = V @ sum(weight * z_j for weight, z_j in zip(weights / weights.sum(), z, strict=True))
            torch.testing.assert_close(output[:, i], torch.maximum(u, slope * u), **EQUAL)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("P", [None, orthogonal(0, 5)], ids=["P = I", "random P"])
def test_with_two_blocks_alone_the_full_student_is_the_position_only_one(P, slope):
    M, d, D = 3, 2, 5
    X = normal(1, 4, 6, d, D)
    simple = filled(PositionOnlyTransformer(M, d, D, Activation(slope), P), seed=10)
    full = FullTransformer(M, d, D, Activation(slope), P)
    with torch.no_grad():
        full.blocks()["V_X"].copy_(simple.W_V)  # blocks are views: this sets the weights
        full.blocks()["PP"].copy_(simple.W_KQ)
        torch.testing.assert_close(full(X), simple(X), **EQUAL)
        for other in ("V_P", "XX", "XP", "PX"):  # and every other block matters
            full.blocks()[other].copy_(normal(20, *full.blocks()[other].shape))
            assert (full(X) - simple(X)).abs().max() > 1e-3, other
            full.blocks()[other].zero_()


def test_blocks_tile_the_weights():
    full = filled(FullTransformer(3, 2, 4, Activation(0.0)))
    block = full.blocks()
    assert torch.equal(torch.cat([block["V_X"], block["V_P"]], 1), full.W_V_tilde)
    top, bottom = (torch.cat([block[side + "X"], block[side + "P"]], 1) for side in "XP")
    assert torch.equal(torch.cat([top, bottom]), full.W_KQ_tilde)
    assert block["XP"].shape == (2, 4)
    assert block["PX"].shape == (4, 2)


@pytest.mark.parametrize("kind", [PositionOnlyTransformer, FullTransformer])
def test_students_follow_the_dtype_of_P(kind):
    for P, dtype in [(None, torch.float64), (orthogonal(0, 4), torch.float64), (torch.eye(4), torch.float32)]:
        student = kind(2, 3, 4, Activation(0.0), P)
        assert {w.dtype for w in student.parameters()} == {dtype}
        assert student(normal(1, 3, 4).to(dtype)).dtype == dtype


@pytest.mark.parametrize("kind", [PositionOnlyTransformer, FullTransformer])
def test_students_keep_their_own_copy_of_P(kind):
    P = orthogonal(0, 4)
    student = filled(kind(2, 3, 4, Activation(0.0), P))
    before = student(normal(1, 3, 4)).detach()
    P.zero_()
    assert torch.equal(student(normal(1, 3, 4)), before)
    assert "P" not in dict(student.named_parameters())  # fixed, not trained
    assert "P" in student.state_dict()

"""Several heads: one head is the position-only student, at zero too, and more heads share what one does."""

import pytest
import torch

from bilinear import descent, heads, population, scores
from bilinear.activations import IDENTITY, RELU, leaky_relu
from bilinear.teachers import Teacher

from .cases import normal, scattered

S_STAR = scattered(5, 2, 0)


@pytest.mark.parametrize("sigma", [IDENTITY, RELU, leaky_relu(0.3)])
@pytest.mark.parametrize("size", [0.0, 1e-6, 1.0])
def test_one_head_has_the_slopes_of_the_position_only_student(sigma, size):
    """At zero, the student stands at a right angle to its teacher."""
    teacher = Teacher(normal(0, 2, 3), S_STAR, sigma)
    W_V, W_KQ = size * normal(1, 2, 3), normal(2, 5, 5)
    loss, slopes = heads.slopes(teacher)(W_V[None], W_KQ[None])
    wanted, to_V, to_KQ = population.gradients(teacher, W_V, W_KQ)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-12)
    assert torch.allclose(slopes["W_V"][0], to_V, rtol=1e-9, atol=1e-12)
    assert torch.allclose(slopes["W_KQ"][0], to_KQ, rtol=1e-9, atol=1e-12)


def test_heads_that_agree_are_one_head_of_their_sum():
    teacher = Teacher(normal(0, 2, 3), S_STAR, RELU)
    W_V, S = normal(1, 2, 3), scores.SOFTMAX(normal(2, 5, 5))
    split = torch.stack([0.25 * W_V, 0.75 * W_V])
    one, two = heads.excess_loss(teacher, W_V[None], S[None]), heads.excess_loss(teacher, split, S.expand(2, -1, -1))
    assert two.item() == pytest.approx(one.item(), rel=1e-12)
    assert one.item() == pytest.approx(population.excess_loss(teacher, W_V, S).item(), rel=1e-12)


def test_a_step_of_two_heads_goes_down_the_loss():
    """The loss falls by η‖slope‖² to first order in η."""
    teacher, eta = Teacher(normal(0, 2, 3), S_STAR, RELU), 1e-5
    start = {"W_V": normal(1, 2, 2, 3), "W_KQ": normal(2, 2, 5, 5)}
    _, slopes = heads.slopes(teacher)(**start)
    run = descent.descend(heads.slopes(teacher), start, eta=eta, steps=1)
    fall = eta * sum(slope.square().sum().item() for slope in slopes.values())
    assert run.loss[0] - run.loss[1] == pytest.approx(fall, rel=1e-3)

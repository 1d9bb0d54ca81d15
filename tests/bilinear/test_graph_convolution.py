"""Graph convolution beyond the class: other normalisations, more hops, and the best that attention can do."""

import networkx as nx
import pytest
import torch
from scipy.optimize import minimize
from torch_geometric.nn import GCNConv, SGConv, SimpleConv
from torch_geometric.utils import from_networkx

from bilinear import descent
from bilinear.activations import IDENTITY, RELU
from bilinear.floors import best_student
from bilinear.population import excess_loss
from bilinear.teachers import Teacher, convolution, graph_convolution, graph_scores

from .cases import normal, scattered

NATIVE = {"rtol": 1e-12, "atol": 1e-12}  # two libraries' float64 sums of at most a few hundred products
UNEVEN = {"club": nx.karate_club_graph(), "star": nx.star_graph(6), "path": nx.path_graph(7)}
REGULAR = {"cycle": nx.cycle_graph(20), "Petersen": nx.petersen_graph()}


@pytest.mark.parametrize("name", UNEVEN | REGULAR)
def test_graph_scores_are_the_layers_of_a_graph_library(name):
    graph, (M, d) = (UNEVEN | REGULAR)[name], (3, 2)
    edges, V_star, X = from_networkx(graph).edge_index, normal(0, M, d), normal(1, d, len(graph))
    layer = GCNConv(d, M, bias=False).double()
    with torch.no_grad():
        layer.lin.weight.copy_(V_star)
        symmetric = Teacher(V_star, graph_scores(graph), RELU)(X)
        torch.testing.assert_close(symmetric, layer(X.T, edges).T.relu(), **NATIVE)
    mean = SimpleConv(aggr="mean", combine_root="self_loop")(X.T, edges).T
    torch.testing.assert_close(X @ graph_scores(graph, "walk"), mean, **NATIVE)
    assert torch.allclose(graph_scores(graph, "walk").sum(0), torch.ones(len(graph), dtype=torch.float64))
    alike = torch.allclose(graph_scores(graph), graph_scores(graph, "walk"), rtol=0, atol=1e-15)
    assert alike == (name in REGULAR)


@pytest.mark.parametrize("name", REGULAR)
def test_two_hops_are_a_simplified_graph_convolution(name):
    graph = REGULAR[name]
    layer = SGConv(2, 3, K=2, bias=False).double()
    once = graph_convolution(normal(0, 3, 2), graph)
    with torch.no_grad():
        layer.lin.weight.copy_(once.V_star)
        X = normal(1, 2, len(graph))
        native = layer(X.T, from_networkx(graph).edge_index).T
    twice = Teacher(once.V_star, once.S_star @ once.S_star, IDENTITY)
    torch.testing.assert_close(twice(X), native, **NATIVE)


def test_pooling_is_a_graph_convolution_on_complete_graphs():
    groups = nx.disjoint_union_all([nx.complete_graph(4)] * 5)
    V_star = normal(0, 3, 2)
    assert torch.equal(graph_convolution(V_star, groups).S_star, convolution(V_star, 20, 4).S_star)


@pytest.mark.parametrize(
    "graph", [nx.path_graph(5), nx.star_graph(4), nx.wheel_graph(6)], ids=["path", "star", "wheel"]
)
def test_best_student_against_a_general_minimiser(graph):
    """L-BFGS over the multiple of V* and all logits, from three starts; zeros are approached, not reached."""
    teacher = Teacher(normal(0, 2, 3), graph_scores(graph), IDENTITY)
    floor, W_V, S = best_student(teacher)
    assert excess_loss(teacher, W_V, S) == floor > 0

    def loss(weights):
        c, logits = weights[0], weights[1:].reshape(len(graph), -1)
        return excess_loss(teacher, c * teacher.V_star, torch.softmax(logits, 0))

    def value_and_slope(weights):
        weights = torch.tensor(weights, requires_grad=True)
        value = loss(weights)
        return value.item(), torch.autograd.grad(value, weights)[0].numpy()

    for seed in range(3):
        start = torch.cat([torch.ones(1, dtype=torch.float64), 0.1 * normal(seed, len(graph) ** 2)]).numpy()
        options = {"maxiter": 20_000, "maxfun": 20_000, "ftol": 1e-16, "gtol": 1e-12}
        found = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options=options)
        # from above; what is left are softmax's zeros, whose gradient fades before they are below about 1e-6
        assert -1e-12 < found.fun / floor.item() - 1 < 1e-4


def test_best_student_is_a_minimum_over_a_cone():
    """The problem is convex in Q = cS, so no other Q may be better; and the projection is orthogonal to Q itself."""
    A = normal(3, 6, 6)  # entries of both signs
    teacher = Teacher(normal(0, 2, 3), A, IDENTITY)
    floor, W_V, S = best_student(teacher)
    c = (W_V / teacher.V_star)[0, 0]
    torch.testing.assert_close(S.sum(0), torch.ones(6, dtype=torch.float64), **NATIVE)
    assert S.min() >= 0
    assert ((c * S) * (A - c * S)).sum().abs() < 1e-12  # a cone: the residual is orthogonal to the projection
    for seed in range(200):
        other = torch.softmax(normal(seed, 6, 6) * 2, 0)
        best_c = (other * A).sum() / (other * other).sum()
        assert excess_loss(teacher, best_c * teacher.V_star, other) >= floor


def test_best_student_where_attention_fits():
    party = graph_scores(nx.complete_bipartite_graph(4, 8), "walk")  # sums that round to both sides of one
    for S_star, sign in ((scattered(6, 2, 0), 1), (-2 * scattered(6, 3, 1), -2), (party, 1)):
        teacher = Teacher(normal(0, 2, 3), S_star, IDENTITY)
        loss, W_V, S = best_student(teacher)
        assert loss < 1e-24
        torch.testing.assert_close(W_V, sign * teacher.V_star, **NATIVE)
        torch.testing.assert_close(S, S_star / sign, **NATIVE)


def test_best_student_by_hand():
    """D = 2, columns (2, 0) and (−1, −1). With sum c > 0 the first projects to (c, 0) and the second to (c/2, c/2): the
    cost ½(2−c)² + (1+c/2)² has its minimum at c = 2/3. With −S* the first gives (c/2 − 1, …) → (0, c) for c < 2, the
    second (c/2, c/2): ½(4 + c²) + (1−c/2)², at c = 2/3 too. The losses are 8/3 and 8/3; c = 0 has 3."""
    loss, W_V, _ = best_student(Teacher([[1.0]], [[2.0, -1.0], [0.0, -1.0]], IDENTITY))
    assert loss.item() == pytest.approx(8 / 3, rel=1e-12)
    assert abs(W_V.item()) == pytest.approx(2 / 3, rel=1e-12)


def test_best_student_refuses_a_kink():
    with pytest.raises(ValueError, match="slope 0"):
        best_student(Teacher([[1.0]], [[1.0]], RELU))


def test_descent_reaches_the_floor():
    """On a wheel all zeros of the best attention are filled, so the loss falls to the floor exponentially."""
    teacher = Teacher(4 * normal(0, 4, 8), graph_scores(nx.wheel_graph(10)), IDENTITY)
    run = descent.population(teacher, 0.2, 16_000, record=[0, 16_000])
    floor, W_V, S = best_student(teacher)
    assert 0 < floor < 0.05 * run.excess_loss[0]
    assert run.excess_loss[1] == pytest.approx(floor.item(), rel=1e-10)
    torch.testing.assert_close(run.W_V, W_V, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(run.S, S, rtol=1e-5, atol=1e-5)


def test_graph_scores_refuses():
    with pytest.raises(ValueError, match="'row'"):
        graph_scores(nx.cycle_graph(4), "row")
    with pytest.raises(TypeError, match="DiGraph"):
        graph_scores(nx.cycle_graph(4).to_directed())

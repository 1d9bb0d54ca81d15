"""The paper's examples: each teacher equals the network it is named after."""

import networkx as nx
import pytest
import torch
from torch_geometric.nn import GCNConv
from torch_geometric.utils import from_networkx

from bilinear import images
from bilinear.activations import IDENTITY, RELU, Activation
from bilinear.teachers import (
    Teacher,
    convolution,
    graph_convolution,
    group_sparse,
    scattered_scores,
    token_selection,
)

from .cases import SLOPES, normal, scattered

# Two libraries' float64 sums of at most 144 products: 1e-12 of the outputs' size leaves two digits of room.
NATIVE = {"rtol": 1e-12, "atol": 1e-12}


def reference_sigma(z, slope):
    return torch.nn.functional.leaky_relu(z, slope)  # in torch, slope 1 is the identity and 0 is ReLU


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(("size", "patch", "pool", "M"), [(27, 3, 3, 16), (24, 2, 3, 4), (24, 4, 2, 3), (20, 5, 4, 2)])
def test_convolution_is_conv2d_and_avgpool2d_on_real_digits(size, patch, pool, M, slope):
    pictures, _ = images.digits(size)
    pictures = pictures[:50]
    side = size // patch
    conv = torch.nn.Conv2d(1, M, patch, stride=patch, bias=False, dtype=torch.float64)
    with torch.no_grad():
        conv.weight.copy_(normal(0, M, 1, patch, patch))
        pooled = torch.nn.AvgPool2d(pool)(conv(pictures[:, None]))  # (n, M, cells, cells)
    native = reference_sigma(pooled, slope)
    teacher = convolution(conv.weight.detach().flatten(1), side**2, pool**2, Activation(slope))
    outputs = teacher(images.tokens(pictures, patch, pool))
    row, column = images.patch_grid(side, pool).T
    torch.testing.assert_close(outputs, native[:, :, row // pool, column // pool], **NATIVE)
    assert outputs.std() > 0.1  # real digits, real outputs


def test_convolution_takes_any_partition():
    V_star, X = normal(0, 3, 2), normal(1, 5, 2, 6)
    groups = [[0, 4, 5], (2,), range(1, 4, 2)]
    outputs = convolution(V_star, 6, groups=groups, sigma=Activation(0.1))(X)
    for group in groups:
        mean = torch.stack([V_star @ X[:, :, i][..., None] for i in group]).mean(0)
        for i in group:
            torch.testing.assert_close(outputs[:, :, i : i + 1], reference_sigma(mean, 0.1), **NATIVE)
    contiguous = convolution(V_star, 6, 3)
    assert torch.equal(contiguous.S_star, convolution(V_star, 6, groups=[[0, 1, 2], [3, 4, 5]]).S_star)
    assert torch.equal(contiguous.S_star, convolution(V_star, 6, 3, groups=[[5, 4, 3], [2, 1, 0]]).S_star)
    assert contiguous.sigma.slope == 0


GRAPHS = {
    "cycle": nx.cycle_graph(7),
    "complete": nx.complete_graph(5),
    "Petersen": nx.petersen_graph(),
    "hypercube": nx.hypercube_graph(3),  # nodes are tuples
    "circulant": nx.circulant_graph(11, [1, 3]),
    "random": nx.random_regular_graph(4, 12, seed=0),
    "in another order": nx.relabel_nodes(nx.cycle_graph(6), dict(zip(range(6), "fbdaec", strict=True))),
    "two components": nx.disjoint_union(nx.cycle_graph(4), nx.cycle_graph(5)),
    "no edges": nx.empty_graph(4),
    "weighted": nx.Graph([(0, 1, {"weight": 7.0}), (1, 2, {"weight": 0.5}), (2, 0, {"weight": 3.0})]),
}


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("name", GRAPHS)
def test_graph_convolution_is_gcnconv(name, slope):
    graph, (M, d) = GRAPHS[name], (3, 2)
    D = len(graph)
    layer = GCNConv(d, M, bias=False).double()
    teacher = graph_convolution(normal(0, M, d), graph, Activation(slope))
    with torch.no_grad():
        layer.lin.weight.copy_(teacher.V_star)
        for X in normal(1, 4, d, D):
            native = layer(X.T, from_networkx(graph).edge_index).T
            torch.testing.assert_close(teacher(X), reference_sigma(native, slope), **NATIVE)
    degree = dict(graph.degree)[next(iter(graph))]
    assert degree + 1 == teacher.K


def test_graph_columns_follow_the_graphs_own_order():
    graph = nx.Graph([("c", "a"), ("a", "b"), ("b", "d"), ("d", "c")])
    order = list(graph.nodes)
    support = graph_convolution(normal(0, 1, 1), graph).support
    for i, node in enumerate(order):
        assert {order[j] for j in range(4) if support[j, i]} == {node, *graph[node]}


def test_token_selection_is_the_mean_of_the_columns():
    X, positions = normal(0, 5, 3, 7), [6, 0, 2]
    teacher = token_selection(3, 7, positions)
    expected = X[:, :, positions].mean(-1, keepdim=True).expand(-1, -1, 7)
    torch.testing.assert_close(teacher(X), expected, **NATIVE)
    assert (teacher.M, teacher.d, teacher.D, teacher.K, teacher.sigma) == (3, 3, 7, 3, IDENTITY)
    for positions in ({1, 4}, (i for i in (1, 4)), torch.tensor([1, 4]).numpy()):
        assert token_selection(2, 5, positions).support.nonzero()[:, 0].unique().tolist() == [1, 4]


def test_group_sparse_is_a_linear_predictor_of_one_group():
    X, v_star = normal(0, 5, 3, 4), normal(1, 3)
    teacher = group_sparse(v_star, 4, 2)
    torch.testing.assert_close(teacher(X), (X[:, :, 2] @ v_star)[:, None, None].expand(-1, 1, 4), **NATIVE)
    assert (teacher.M, teacher.d, teacher.D, teacher.K, teacher.sigma) == (1, 3, 4, 1, IDENTITY)


@pytest.mark.parametrize("slope", SLOPES)
def test_a_teacher_is_sigma_of_a_bilinear_form(slope):
    V, S, X = normal(0, 3, 2), normal(1, 4, 4), normal(2, 5, 6, 2, 4)
    teacher = Teacher(V, S, Activation(slope))
    expected = reference_sigma(torch.einsum("md,abdj,ji->abmi", V, X, S), slope)
    torch.testing.assert_close(teacher(X), expected, **NATIVE)
    torch.testing.assert_close(teacher(X[0, 0]), expected[0, 0], **NATIVE)
    assert torch.equal(teacher.support, S > 0)
    if slope == 1:  # linear in V*, and in S*
        double = Teacher(2 * V, S, teacher.sigma)(X) + Teacher(V, -3 * S, teacher.sigma)(X)
        torch.testing.assert_close(double, -teacher(X), **NATIVE)


def test_K_counts_the_support_of_every_column():
    for D, K in [(5, 1), (5, 2), (5, 5), (1, 1)]:
        S_star = scattered(D, K, 0)
        assert Teacher(normal(0, 1, 1), S_star, IDENTITY).K == K
        assert Teacher(normal(0, 1, 1).float(), S_star.float(), IDENTITY).K == K


@pytest.mark.parametrize("K", [1, 4])
def test_what_counts_as_one_over_K(K):
    """Within 1e-6/K of it, as float32 needs, and no more."""
    S_star = scattered(8, K, 0)
    entry = tuple(S_star.nonzero()[5].tolist())
    for off, fits in ((0.9e-6 / K, True), (-0.9e-6 / K, True), (1.1e-6 / K, False), (-1.1e-6 / K, False)):
        near = S_star.clone()
        near[entry] += off
        teacher = Teacher(torch.ones(1, 2, dtype=torch.float64), near, RELU)
        if fits:
            assert teacher.K == K
        else:
            with pytest.raises(ValueError, match=f"column {entry[1]}"):
                _ = teacher.K


def test_scattered_columns():
    generator = torch.Generator().manual_seed(0)
    S_star = scattered_scores(7, 3, generator=generator)
    assert S_star.unique().tolist() == [0, 1 / 3]
    assert ((S_star > 0).sum(0) == 3).all()
    readers = sum((scattered_scores(7, 3, generator=generator) > 0).double() for _ in range(600)) / 600
    assert (readers - 3 / 7).abs().max() < 4.5 * (3 / 7 * 4 / 7 / 600) ** 0.5  # 49 entries at 4.5 standard errors: 3e-4
    counts = [1, 7, 2, 2, 5, 3, 4]
    uneven = scattered_scores(7, counts, generator=generator, uneven=True)
    assert (uneven > 0).sum(0).tolist() == counts
    torch.testing.assert_close(uneven.sum(0), torch.ones(7).double(), rtol=0, atol=1e-15)
    spread = uneven.max(0).values / uneven.where(uneven > 0, torch.inf).min(0).values
    assert (spread <= 3).all()
    assert spread.max() > 1.2
    for bad, named in (([1, 2], "got 2"), (8, "at most 8"), ([0] * 7, "a count in counts must be at least 1")):
        with pytest.raises(ValueError, match=named):
            scattered_scores(7, bad, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_teachers_keep_the_dtype_of_their_values(dtype):
    V_star = normal(0, 2, 3).to(dtype)
    built = [
        Teacher(V_star, scattered(4, 2, 0), IDENTITY),
        convolution(V_star, 4, 2),
        graph_convolution(V_star, nx.cycle_graph(4)),
        group_sparse(V_star[0], 4, 1),
    ]
    for teacher in built:
        assert teacher.V_star.dtype == teacher.S_star.dtype == dtype
        assert teacher(normal(1, 3, 4).to(dtype)).dtype == dtype


def test_lists_and_integers_become_float64():
    teacher = Teacher([[1, 2]], [[1, 0], [0, 1]], IDENTITY)
    assert teacher.V_star.dtype == teacher.S_star.dtype == torch.float64
    assert token_selection(2, 3, [0]).V_star.dtype == torch.float64
    assert convolution(torch.ones(1, 2, dtype=torch.int64), 2, 1).V_star.dtype == torch.float64


def test_a_teacher_keeps_its_own_copy():
    V_star, S_star = normal(0, 2, 3), scattered(4, 2, 0)
    teacher = Teacher(V_star, S_star, IDENTITY)
    before = teacher(normal(1, 3, 4))
    V_star.zero_()
    S_star.zero_()
    assert torch.equal(teacher(normal(1, 3, 4)), before)
    with pytest.raises(AttributeError):
        teacher.V_star = V_star

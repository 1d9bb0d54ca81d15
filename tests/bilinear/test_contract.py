"""A wrong argument raises at once, naming the value and the bound; right ones are left as they were."""

import math

import networkx as nx
import numpy as np
import pytest
import torch

from bilinear import descent, images
from bilinear.activations import IDENTITY, RELU, Activation, leaky_relu
from bilinear.population import excess_loss, gradients
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.students import FullTransformer, PositionOnlyTransformer
from bilinear.teachers import Teacher, convolution, graph_convolution, group_sparse, token_selection

from .cases import normal, orthogonal, scattered

NAN, INF = math.nan, math.inf
V, S, X = normal(0, 2, 3), scattered(4, 2, 0), normal(1, 5, 3, 4)
TEACHER = Teacher(V, S, RELU)
SKEW = orthogonal(0, 4) + 1e-6 * normal(1, 4, 4)


def spoiled(tensor, value=NAN, index=-1):
    """A copy with one bad entry."""
    tensor = tensor.clone()
    tensor.view(-1)[index] = value
    return tensor


def check(error, action, *named):
    """`action` raises exactly `error`, and its message has every one of `named`."""
    with pytest.raises(error) as caught:
        action()
    assert caught.type is error
    message = str(caught.value)
    for word in named:
        assert str(word) in message, f"{word!r} is not in the message: {message}"


def cases(table):
    """Parameters from rows (name, error, action, words that the message must have)."""
    return pytest.mark.parametrize(("error", "action", "named"), [pytest.param(*row[1:], id=row[0]) for row in table])


@cases(
    [
        ("below", ValueError, lambda: Activation(-0.1), ["slope", "-0.1", "0"]),
        ("above", ValueError, lambda: Activation(1.5), ["slope", "1.5", "1"]),
        ("leaky", ValueError, lambda: leaky_relu(2), ["slope", "2", "1"]),
        ("nan", ValueError, lambda: Activation(NAN), ["slope", "nan", "finite"]),
        ("inf", ValueError, lambda: Activation(INF), ["slope", "inf", "finite"]),
        ("text", TypeError, lambda: Activation("0.1"), ["slope", "'0.1'", "str"]),
        ("bool", TypeError, lambda: Activation(True), ["slope", "True"]),
        ("none", TypeError, lambda: leaky_relu(None), ["slope", "None"]),
    ]
)
def test_activation(error, action, named):
    check(error, action, *named)


@cases(
    [
        ("V_star of one dimension", ValueError, lambda: Teacher(V[0], S, RELU), ["V_star", "M × d", "3"]),
        ("V_star empty", ValueError, lambda: Teacher(V[:0], S, RELU), ["V_star", "0 × 3"]),
        ("S_star not square", ValueError, lambda: Teacher(V, S[:3], RELU), ["S_star", "D × D", "3 × 4"]),
        ("S_star of three dimensions", ValueError, lambda: Teacher(V, S[None], RELU), ["S_star", "1 × 4 × 4"]),
        ("NaN in V_star", ValueError, lambda: Teacher(spoiled(V), S, RELU), ["V_star", "nan", "(1, 2)"]),
        ("infinity in S_star", ValueError, lambda: Teacher(V, spoiled(S, INF, 1), RELU), ["S_star", "inf", "(0, 1)"]),
        ("sigma a word", TypeError, lambda: Teacher(V, S, "relu"), ["sigma", "Activation", "str"]),
        ("sigma torch's", TypeError, lambda: Teacher(V, S, torch.nn.ReLU()), ["sigma", "Activation", "ReLU"]),
        ("V_star complex", TypeError, lambda: Teacher(V.to(torch.complex128), S, RELU), ["V_star", "complex128"]),
        ("V_star a word", TypeError, lambda: Teacher("V", S, RELU), ["V_star", "str"]),
        ("V_star none", TypeError, lambda: Teacher(None, S, RELU), ["V_star", "NoneType"]),
        ("S_star words", TypeError, lambda: Teacher(V, [["a"]], RELU), ["S_star", "list"]),
    ]
)
def test_teacher(error, action, named):
    check(error, action, *named)


def counts(S_star):
    return lambda: Teacher(V, S_star, RELU).K


@cases(
    [
        ("other counts", ValueError, counts(torch.tensor([[1, 0.5], [0, 0.5]])), ["K", "column 1", "2"]),
        ("other values", ValueError, counts(torch.tensor([[0.5, 0.6], [0.5, 0.4]])), ["K", "column 1", "0.6"]),
        ("wrong sum", ValueError, counts(torch.full((3, 3), 0.5)), ["K", "column 0", "0.5"]),
        ("negative", ValueError, counts(torch.tensor([[1.0, 1], [0, -1]])), ["K", "column 1", "-1"]),
        ("zero column", ValueError, counts(torch.tensor([[0.0, 1], [0, 0]])), ["K", "column"]),
        ("all zero", ValueError, counts(torch.zeros(2, 2)), ["K", "column 0", "0"]),
        ("scalars of it", ValueError, lambda: ScalarDynamics.of(Teacher(V, 2 * S, RELU), 0.1), ["K", "column"]),
    ]
)
def test_the_common_count(error, action, named):
    check(error, action, *named)


def inputs(model, d=3, D=4):
    return [
        ("NaN", ValueError, lambda: model(spoiled(X, NAN, 0)), ["X", "nan", "(0, 0, 0)"]),
        ("infinity", ValueError, lambda: model(spoiled(X, -INF)), ["X", "-inf", "(4, 2, 3)"]),
        ("turned", ValueError, lambda: model(X.mT), ["X", str(d), str(D), "(5, 4, 3)"]),
        ("too few tokens", ValueError, lambda: model(X[..., :3]), ["X", f"{d}, {D}", "(5, 3, 3)"]),
        ("one dimension", ValueError, lambda: model(X[0, 0]), ["X", f"{d}, {D}", "(4,)"]),
        ("float32", TypeError, lambda: model(X.float()), ["X", "float64", "float32"]),
        ("integers", TypeError, lambda: model(X.long()), ["X", "float64", "int64"]),
        ("numpy", TypeError, lambda: model(X.numpy()), ["X", "tensor", "ndarray"]),
        ("a list", TypeError, lambda: model(X.tolist()), ["X", "tensor", "list"]),
    ]


@cases(inputs(TEACHER))
def test_inputs_of_a_teacher(error, action, named):
    check(error, action, *named)


@cases(inputs(PositionOnlyTransformer(2, 3, 4, RELU)))
def test_inputs_of_the_position_only_student(error, action, named):
    check(error, action, *named)


@cases(inputs(FullTransformer(2, 3, 4, RELU)))
def test_inputs_of_the_full_student(error, action, named):
    check(error, action, *named)


@cases(
    [
        ("K not dividing D", ValueError, lambda: convolution(V, 12, 5), ["K", "5", "12"]),
        ("K above D", ValueError, lambda: convolution(V, 4, 8), ["K", "8", "4"]),
        ("K zero", ValueError, lambda: convolution(V, 4, 0), ["K", "0", "1"]),
        ("K negative", ValueError, lambda: convolution(V, 4, -2), ["K", "-2", "1"]),
        ("D zero", ValueError, lambda: convolution(V, 0, 1), ["D", "0", "1"]),
        ("K a fraction", TypeError, lambda: convolution(V, 4, 2.0), ["K", "2.0", "float"]),
        ("K a bool", TypeError, lambda: convolution(V, 4, True), ["K", "True"]),
        ("D a word", TypeError, lambda: convolution(V, "4", 2), ["D", "'4'"]),
        ("neither K nor groups", TypeError, lambda: convolution(V, 4), ["K", "groups"]),
        ("V_star", ValueError, lambda: convolution(V[0], 4, 2), ["V_star", "M × d"]),
        ("sigma", TypeError, lambda: convolution(V, 4, 2, 0.1), ["sigma", "Activation", "float"]),
        (
            "groups overlap",
            ValueError,
            lambda: convolution(V, 3, groups=[[0, 1], [1, 2]]),
            ["partition", "3", "[1, 2]"],
        ),
        ("groups miss one", ValueError, lambda: convolution(V, 3, groups=[[0, 1]]), ["partition", "range(3)"]),
        ("groups repeat", ValueError, lambda: convolution(V, 2, groups=[[0, 0], [1]]), ["partition", "[0, 0]"]),
        ("groups beyond D", ValueError, lambda: convolution(V, 2, groups=[[0, 1, 2]]), ["partition", "range(2)", "2"]),
        ("groups below 0", ValueError, lambda: convolution(V, 2, groups=[[0], [-1]]), ["groups", "-1", "0"]),
        ("an empty group", ValueError, lambda: convolution(V, 2, groups=[[0, 1], []]), ["partition", "[]"]),
        ("groups of fractions", TypeError, lambda: convolution(V, 2, groups=[[0.0, 1.0]]), ["groups", "0.0", "float"]),
        ("groups unlike K", ValueError, lambda: convolution(V, 3, 2, groups=[[0], [1, 2]]), ["K = 2", "[1, 2]"]),
        ("groups a number", TypeError, lambda: convolution(V, 3, groups=3), ["groups", "int"]),
        ("groups flat", TypeError, lambda: convolution(V, 3, groups=[0, 1, 2]), ["groups", "int"]),
    ]
)
def test_convolution(error, action, named):
    check(error, action, *named)


LOOP = nx.cycle_graph(4)
LOOP.add_edge(0, 0)


@cases(
    [
        ("a path", ValueError, lambda: graph_convolution(V, nx.path_graph(4)), ["regular", "degree 1", "degree 2"]),
        ("a star", ValueError, lambda: graph_convolution(V, nx.star_graph(3)), ["regular", "node 0", "degree 3"]),
        ("no nodes", ValueError, lambda: graph_convolution(V, nx.Graph()), ["at least one node", "0"]),
        ("a self-loop", ValueError, lambda: graph_convolution(V, LOOP), ["self-loops", "1"]),
        ("directed", TypeError, lambda: graph_convolution(V, nx.cycle_graph(4).to_directed()), ["graph", "DiGraph"]),
        ("multiple edges", TypeError, lambda: graph_convolution(V, nx.MultiGraph([(0, 1)])), ["graph", "MultiGraph"]),
        ("a matrix", TypeError, lambda: graph_convolution(V, np.eye(3)), ["graph", "ndarray"]),
        ("a list of edges", TypeError, lambda: graph_convolution(V, [(0, 1)]), ["graph", "list"]),
        ("V_star", ValueError, lambda: graph_convolution(spoiled(V), nx.cycle_graph(4)), ["V_star", "nan"]),
        ("sigma", TypeError, lambda: graph_convolution(V, nx.cycle_graph(4), None), ["sigma", "NoneType"]),
    ]
)
def test_graph_convolution(error, action, named):
    check(error, action, *named)


@cases(
    [
        ("none", ValueError, lambda: token_selection(2, 4, []), ["positions", "at least one", "none"]),
        ("repeated", ValueError, lambda: token_selection(2, 4, [1, 3, 1]), ["positions", "repeat", "[1, 3, 1]"]),
        ("too large", ValueError, lambda: token_selection(2, 4, [1, 4]), ["position", "D = 4", "4"]),
        ("negative", ValueError, lambda: token_selection(2, 4, [-1]), ["position", "-1", "0"]),
        ("fraction", TypeError, lambda: token_selection(2, 4, [1.5]), ["position", "1.5", "float"]),
        ("bool", TypeError, lambda: token_selection(2, 4, [True]), ["position", "True"]),
        ("a number", TypeError, lambda: token_selection(2, 4, 1), ["positions", "int"]),
        ("d zero", ValueError, lambda: token_selection(0, 4, [1]), ["d ", "0", "1"]),
        ("D negative", ValueError, lambda: token_selection(2, -4, [1]), ["D ", "-4", "1"]),
        ("sparse, too large", ValueError, lambda: group_sparse(V[0], 4, 4), ["position", "D = 4", "4"]),
        ("sparse, negative", ValueError, lambda: group_sparse(V[0], 4, -1), ["position", "-1", "0"]),
        ("sparse, fraction", TypeError, lambda: group_sparse(V[0], 4, 1.0), ["position", "1.0", "float"]),
        ("sparse, D", ValueError, lambda: group_sparse(V[0], 0, 0), ["D ", "0", "1"]),
        ("sparse, v_star", ValueError, lambda: group_sparse(V, 4, 1), ["v_star", "d", "2 × 3"]),
        ("sparse, NaN", ValueError, lambda: group_sparse([1.0, NAN], 4, 1), ["v_star", "nan"]),
    ]
)
def test_positions(error, action, named):
    check(error, action, *named)


def student_cases(kind):
    return [
        ("M", ValueError, lambda: kind(0, 3, 4, RELU), ["M ", "0", "1"]),
        ("d", ValueError, lambda: kind(2, -3, 4, RELU), ["d ", "-3", "1"]),
        ("D", ValueError, lambda: kind(2, 3, 0, RELU), ["D ", "0", "1"]),
        ("M a fraction", TypeError, lambda: kind(2.0, 3, 4, RELU), ["M ", "2.0", "float"]),
        ("D a bool", TypeError, lambda: kind(2, 3, True, RELU), ["D ", "True"]),
        ("sigma", TypeError, lambda: kind(2, 3, 4, "relu"), ["sigma", "Activation", "str"]),
        ("P skew", ValueError, lambda: kind(2, 3, 4, RELU, SKEW), ["P ", "orthogonal", "e-06", "e-1"]),
        ("P float32 skew", ValueError, lambda: kind(2, 3, 4, RELU, 2 * torch.eye(4)), ["P ", "orthogonal", "3.0"]),
        ("P too small", ValueError, lambda: kind(2, 3, 4, RELU, torch.eye(3)), ["P ", "4 × 4", "3 × 3"]),
        ("P NaN", ValueError, lambda: kind(2, 3, 4, RELU, spoiled(torch.eye(4))), ["P ", "nan", "(3, 3)"]),
        ("P a word", TypeError, lambda: kind(2, 3, 4, RELU, "I"), ["P ", "str"]),
    ]


@cases(student_cases(PositionOnlyTransformer))
def test_the_position_only_student(error, action, named):
    check(error, action, *named)


@cases(student_cases(FullTransformer))
def test_the_full_student(error, action, named):
    check(error, action, *named)


KQ = normal(2, 4, 4)


@cases(
    [
        ("loss: W_V turned", ValueError, lambda: excess_loss(TEACHER, V.T, S), ["W_V", "2 × 3", "3 × 2"]),
        ("loss: S too small", ValueError, lambda: excess_loss(TEACHER, V, S[:3, :3]), ["S ", "4 × 4", "3 × 3"]),
        ("loss: a batch of S", ValueError, lambda: excess_loss(TEACHER, V, S[None]), ["S ", "4 × 4", "1 × 4 × 4"]),
        ("loss: NaN in W_V", ValueError, lambda: excess_loss(TEACHER, spoiled(V), S), ["W_V", "nan", "(1, 2)"]),
        ("loss: infinite S", ValueError, lambda: excess_loss(TEACHER, V, spoiled(S, INF)), ["S ", "inf", "(3, 3)"]),
        ("loss: W_V a word", TypeError, lambda: excess_loss(TEACHER, "V", S), ["W_V", "str"]),
        ("loss: no teacher", TypeError, lambda: excess_loss(None, V, S), ["teacher", "Teacher", "NoneType"]),
        ("gradient: W_V", ValueError, lambda: gradients(TEACHER, V[:1], KQ), ["W_V", "2 × 3", "1 × 3"]),
        ("gradient: W_KQ", ValueError, lambda: gradients(TEACHER, V, KQ[:3]), ["W_KQ", "4 × 4", "3 × 4"]),
        ("gradient: NaN", ValueError, lambda: gradients(TEACHER, V, spoiled(KQ)), ["W_KQ", "nan", "(3, 3)"]),
        ("gradient: P skew", ValueError, lambda: gradients(TEACHER, V, KQ, SKEW), ["P ", "orthogonal", "e-06"]),
        ("gradient: P shape", ValueError, lambda: gradients(TEACHER, V, KQ, torch.eye(5)), ["P ", "4 × 4", "5 × 5"]),
        ("gradient: no teacher", TypeError, lambda: gradients(V, V, KQ), ["teacher", "Teacher", "Tensor"]),
    ]
)
def test_population(error, action, named):
    check(error, action, *named)


def scalars(**changed):
    return ScalarDynamics(**{"D": 12, "K": 3, "V_norm_sq": 4.0, "eta": 0.1, "slope": 0.0, **changed})


@cases(
    [
        ("K zero", ValueError, lambda: scalars(K=0), ["K ", "0", "1"]),
        ("K above D", ValueError, lambda: scalars(K=13), ["K ", "13", "12"]),
        ("D zero", ValueError, lambda: scalars(D=0, K=1), ["D ", "0", "1"]),
        ("D a fraction", TypeError, lambda: scalars(D=12.0), ["D ", "12.0", "float"]),
        ("V_norm_sq zero", ValueError, lambda: scalars(V_norm_sq=0), ["V_norm_sq", "0", "greater"]),
        ("V_norm_sq NaN", ValueError, lambda: scalars(V_norm_sq=NAN), ["V_norm_sq", "nan"]),
        ("V_norm_sq a tensor", TypeError, lambda: scalars(V_norm_sq=V.norm() ** 2), ["V_norm_sq", "Tensor"]),
        ("eta zero", ValueError, lambda: scalars(eta=0.0), ["eta", "0", "greater"]),
        ("eta negative", ValueError, lambda: scalars(eta=-0.1), ["eta", "-0.1", "0"]),
        ("eta infinite", ValueError, lambda: scalars(eta=INF), ["eta", "inf", "finite"]),
        ("eta a word", TypeError, lambda: scalars(eta="0.1"), ["eta", "'0.1'"]),
        ("slope", ValueError, lambda: scalars(slope=1.1), ["slope", "1.1", "1"]),
        ("of: eta", ValueError, lambda: ScalarDynamics.of(TEACHER, -1), ["eta", "-1", "0"]),
        ("of: no teacher", TypeError, lambda: ScalarDynamics.of("teacher", 0.1), ["teacher", "Teacher", "str"]),
        ("run: negative", ValueError, lambda: scalars().run(-1), ["steps", "-1", "0"]),
        ("run: fraction", TypeError, lambda: scalars().run(1.5), ["steps", "1.5", "float"]),
        ("run: bool", TypeError, lambda: scalars().run(True), ["steps", "True"]),
    ]
)
def test_scalar_dynamics(error, action, named):
    check(error, action, *named)


@cases(
    [
        ("negative", ValueError, lambda: scalars().solve([5, -3]), ["times", "-3", "0"]),
        ("NaN", ValueError, lambda: scalars().solve([5, NAN]), ["times", "nan", "finite"]),
        ("infinite", ValueError, lambda: scalars().solve([5, INF]), ["times", "inf", "finite"]),
        ("one number", TypeError, lambda: scalars().solve(5.0), ["times", "float"]),
        ("words", TypeError, lambda: scalars().solve(["a"]), ["times"]),
        ("a table", ValueError, lambda: scalars().solve(np.ones((2, 2))), ["times", "2"]),
        ("map_steps", ValueError, lambda: scalars().solve([5], map_steps=0), ["map_steps", "0", "1"]),
        ("map_steps a fraction", TypeError, lambda: scalars().solve([5], map_steps=1.5), ["map_steps", "1.5"]),
        ("above the stable edge", ValueError, lambda: scalars(eta=1.2).solve([5e4]), ["eta", "1.2", "2K/(aD)", "1"]),
    ]
)
def test_solve_checks_before_it_works(error, action, named, monkeypatch):
    monkeypatch.setattr(ScalarDynamics, "_force", lambda *_: pytest.fail("work began before the check"))
    check(error, action, *named)


def population(**changed):
    return descent.population(**{"teacher": TEACHER, "eta": 0.1, "steps": 3, **changed})


def online(**changed):
    return descent.online(**{"teacher": TEACHER, "eta": 0.1, "steps": 3, "seed": 0, **changed})


def empirical(**changed):
    return descent.empirical(**{"teacher": TEACHER, "eta": 0.1, "steps": 3, "seed": 0, "samples": 5, **changed})


def common(run):
    return [
        ("teacher", TypeError, lambda: run(teacher=V), ["teacher", "Teacher", "Tensor"]),
        ("eta zero", ValueError, lambda: run(eta=0), ["eta", "0", "greater"]),
        ("eta negative", ValueError, lambda: run(eta=-0.1), ["eta", "-0.1", "0"]),
        ("eta NaN", ValueError, lambda: run(eta=NAN), ["eta", "nan", "finite"]),
        ("eta infinite", ValueError, lambda: run(eta=INF), ["eta", "inf", "finite"]),
        ("eta a word", TypeError, lambda: run(eta="0.1"), ["eta", "'0.1'"]),
        ("eta a tensor", TypeError, lambda: run(eta=torch.tensor(0.1)), ["eta", "Tensor"]),
        ("steps negative", ValueError, lambda: run(steps=-1), ["steps", "-1", "0"]),
        ("steps a fraction", TypeError, lambda: run(steps=10.0), ["steps", "10.0", "float"]),
        ("steps a bool", TypeError, lambda: run(steps=True), ["steps", "True"]),
        ("P skew", ValueError, lambda: run(P=SKEW), ["P ", "orthogonal", "e-06", "e-1"]),
        ("P shape", ValueError, lambda: run(P=torch.eye(3)), ["P ", "4 × 4", "3 × 3"]),
        ("P NaN", ValueError, lambda: run(P=spoiled(torch.eye(4))), ["P ", "nan"]),
        ("P a word", TypeError, lambda: run(P="I"), ["P ", "str"]),
        ("record beyond", ValueError, lambda: run(record=[0, 4]), ["record", "4", "3"]),
        ("record negative", ValueError, lambda: run(record=[-1]), ["record", "-1", "0"]),
        ("record a fraction", TypeError, lambda: run(record=[1.0]), ["record", "1.0", "float"]),
        ("record a number", TypeError, lambda: run(record=2), ["record", "int"]),
        ("record words", TypeError, lambda: run(record="ab"), ["record", "'a'"]),
    ]


def drawn(run):
    return [
        ("noise negative", ValueError, lambda: run(noise=-0.5), ["noise", "-0.5", "0"]),
        ("noise NaN", ValueError, lambda: run(noise=NAN), ["noise", "nan"]),
        ("noise a word", TypeError, lambda: run(noise="1"), ["noise", "'1'"]),
        ("seed negative", ValueError, lambda: run(seed=-1), ["seed", "-1", "0"]),
        ("seed a fraction", TypeError, lambda: run(seed=0.5), ["seed", "0.5", "float"]),
        ("seed none", TypeError, lambda: run(seed=None), ["seed", "None"]),
        ("seed too large", ValueError, lambda: run(seed=2**70), ["seed"]),
    ]


@pytest.fixture
def no_work(monkeypatch):
    """Whatever computes a loss, a step or a draw fails the test."""
    work = ((descent, "ExactLoss"), (descent, "_loop"), (descent, "_compiled_loop"), (torch, "randn"))
    for module, name in work:
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("work began before the check"))


@cases(common(population))
def test_population_descent_checks_before_it_works(error, action, named, no_work):
    check(error, action, *named)


@cases(
    [
        *common(online),
        *drawn(online),
        ("batch zero", ValueError, lambda: online(batch=0), ["batch", "0", "1"]),
        ("batch a fraction", TypeError, lambda: online(batch=1.5), ["batch", "1.5", "float"]),
        ("eta_KQ negative", ValueError, lambda: online(eta_KQ=-0.1), ["eta_KQ", "-0.1", "0"]),
        ("eta_KQ NaN", ValueError, lambda: online(eta_KQ=NAN), ["eta_KQ", "nan"]),
        ("inputs turned", ValueError, lambda: online(inputs=X.mT), ["inputs", "3 × 4", "5 × 4 × 3"]),
        ("inputs alone", ValueError, lambda: online(inputs=X[0]), ["inputs", "n × 3 × 4", "3 × 4"]),
        ("inputs none", ValueError, lambda: online(inputs=X[:0]), ["inputs", "0 × 3 × 4"]),
        ("inputs NaN", ValueError, lambda: online(inputs=spoiled(X)), ["inputs", "nan", "(4, 2, 3)"]),
        ("inputs a word", TypeError, lambda: online(inputs="X"), ["inputs", "str"]),
        ("no seed", TypeError, lambda: descent.online(TEACHER, 0.1, 3), ["seed"]),
    ]
)
def test_online_descent_checks_before_it_works(error, action, named, no_work):
    check(error, action, *named)


@cases(
    [
        *common(empirical),
        *drawn(empirical),
        ("samples zero", ValueError, lambda: empirical(samples=0), ["samples", "0", "1"]),
        ("samples a fraction", TypeError, lambda: empirical(samples=9.0), ["samples", "9.0", "float"]),
        ("no samples", TypeError, lambda: descent.empirical(TEACHER, 0.1, 3, seed=0), ["samples"]),
    ]
)
def test_empirical_descent_checks_before_it_works(error, action, named, no_work):
    check(error, action, *named)


PICTURES = normal(0, 2, 6, 6)


@cases(
    [
        ("size", ValueError, lambda: images.digits(7), ["size", "7", "8"]),
        ("size a fraction", TypeError, lambda: images.digits(27.0), ["size", "27.0", "float"]),
        ("side", ValueError, lambda: images.patch_grid(0, 1), ["side", "0", "1"]),
        ("pool", ValueError, lambda: images.patch_grid(4, 0), ["pool", "0", "1"]),
        ("pool not dividing", ValueError, lambda: images.patch_grid(4, 3), ["pool", "3", "4"]),
        ("patch not dividing", ValueError, lambda: images.tokens(PICTURES, 4, 1), ["patch", "4", "6"]),
        ("patch zero", ValueError, lambda: images.tokens(PICTURES, 0, 1), ["patch", "0", "1"]),
        ("pool not dividing the grid", ValueError, lambda: images.tokens(PICTURES, 2, 2), ["pool", "2", "3"]),
        ("pool a fraction", TypeError, lambda: images.tokens(PICTURES, 2, 3.0), ["pool", "3.0"]),
        ("one picture", ValueError, lambda: images.tokens(PICTURES[0], 2, 3), ["images", "6 × 6"]),
        ("not square", ValueError, lambda: images.tokens(PICTURES[:, :4], 2, 1), ["images", "2 × 4 × 6"]),
        ("NaN", ValueError, lambda: images.tokens(spoiled(PICTURES), 2, 3), ["images", "nan", "(1, 5, 5)"]),
        ("a word", TypeError, lambda: images.tokens("digits", 2, 3), ["images", "str"]),
    ]
)
def test_images(error, action, named):
    check(error, action, *named)


def test_the_bounds_themselves_are_allowed():
    assert Activation(0).slope == 0
    assert Activation(1).slope == 1
    assert isinstance(Activation(np.float32(0.5)).slope, float)
    assert scalars(K=12).r == 0
    assert scalars(D=1, K=1).run(0).t.tolist() == [0]
    assert scalars(eta=scalars().largest_stable_eta).solve([0, 5]).t.tolist() == [0, 5]
    assert population(steps=0, record=[0]).t.tolist() == [0]
    assert population(eta=np.float64(0.1), steps=np.int64(3)).t.tolist() == [0, 1, 2, 3]
    assert online(batch=1, noise=0, seed=2**63 - 1).t.tolist() == [0, 1, 2, 3]
    assert empirical(samples=1, noise=0).t.tolist() == [0, 1, 2, 3]
    assert token_selection(1, 1, [0]).K == group_sparse([2.0], 1, 0).K == convolution([[2.0]], 1, 1).K == 1
    assert images.digits(8)[0].shape[1:] == (8, 8)
    assert TEACHER(X[:0]).shape == (0, 2, 4)
    rounded = orthogonal(1, 4).float()  # orthogonal in float32 only
    assert PositionOnlyTransformer(2, 3, 4, RELU, rounded).P.dtype == torch.float32
    check(ValueError, lambda: PositionOnlyTransformer(2, 3, 4, RELU, rounded.double()), "orthogonal")


def test_nothing_that_is_passed_in_is_changed():
    P, inputs, W, scores = orthogonal(0, 4), X.clone(), normal(5, 2, 3), torch.softmax(normal(6, 4, 4), 0)
    v_star, S_star, pictures, times = V.clone(), S.clone(), PICTURES.clone(), np.array([5.0, 1e4])
    record, groups, graph = [2, 0], [[0, 1], [2, 3]], nx.cycle_graph(4)
    passed = [P, inputs, W, scores, v_star, S_star, pictures, KQ]
    before = [tensor.clone() for tensor in passed]
    teacher = Teacher(v_star, S_star, RELU)
    convolution(v_star, 4, groups=groups)
    graph_convolution(v_star, graph)
    group_sparse(v_star[0], 4, 1)
    teacher(inputs)
    student = PositionOnlyTransformer(2, 3, 4, RELU, P)
    student(inputs)
    FullTransformer(2, 3, 4, RELU, P)(inputs)
    excess_loss(teacher, W, scores)
    gradients(teacher, W, KQ, P)
    descent.population(teacher, 0.1, 3, P=P, record=record)
    descent.online(teacher, 0.1, 3, seed=0, P=P, inputs=inputs, record=record)
    descent.empirical(teacher, 0.1, 3, seed=0, samples=4, P=P)
    ScalarDynamics.of(teacher, 0.1).solve(times)
    images.tokens(pictures, 2, 3)
    for old, new in zip(before, passed, strict=True):
        assert torch.equal(old, new)
    assert (record, groups, times.tolist()) == ([2, 0], [[0, 1], [2, 3]], [5.0, 1e4])
    assert nx.utils.graphs_equal(graph, nx.cycle_graph(4))
    assert torch.equal(teacher.V_star, V)
    assert torch.equal(teacher.S_star, S)
    assert not student.W_V.any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sigma", [IDENTITY, RELU])
def test_no_warning_escapes_from_unusual_but_right_calls(sigma):
    """Zero weights, zero columns, exact agreement, tiny and huge values: floating point's own corners."""
    for scale in (1e-150, 1e-30, 1.0, 1e30, 1e100):
        teacher = Teacher(scale * V, S, sigma)
        for W in (0 * V, scale * V, -scale * V):
            for scores in (S, 0 * S, torch.eye(4)):
                assert torch.isfinite(excess_loss(teacher, W, scores))
            assert all(torch.isfinite(part).all() for part in gradients(teacher, W, 1e4 * KQ))
    one = Teacher(torch.ones(1, 1), torch.ones(1, 1), sigma)
    assert descent.population(one, 0.5, 200).excess_loss[-1] <= 1e-12
    flow = ScalarDynamics(9, 9, 1.0, 0.1, sigma.slope).solve([1, 1e3, 1e5, 1e12])
    assert np.isfinite(flow.excess_loss).all()

"""Odd values for every argument of the public interface: a valid call of each name, and what came of a spoiled one.

`CALLS` has a valid call of every public function, class and method. `outcomes` replaces one argument at a time by
values of the wrong shape, dtype, kind and size, and says what came of it; the outcomes in `WRONG` are faults.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import math
import pkgutil
import random
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import networkx as nx
import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

import bilinear
from bilinear import (
    activations,
    curves,
    descent,
    enclosures,
    floors,
    heads,
    images,
    inputs,
    laws,
    phases,
    population,
    positions,
    scores,
    selection,
    students,
    sweeps,
    teachers,
)
from bilinear.activations import RELU, Activation
from bilinear.neighbours import group_sparse_classification as groups
from bilinear.neighbours import in_context_recall as recall
from bilinear.neighbours import linear_attention as linear
from bilinear.scalar_dynamics import ScalarDynamics

from .cases import normal, orthogonal, scattered

WRONG = ("unnamed", "inside", "not finite", "warned", "mutated", "differs")
LEFT_OUT = {
    "activations.angle_defect": "the inside of every loss: it checks nothing, NaN stays NaN",
    "checks": "the checks themselves",
    "compiled": "called by the library only",
    "mnist_files": "files and a network, which have tests of their own",
    "images.mnist": "needs 11 MB of files",
    "scores.ScoreMap": "has no formula of its own",
    "descent.Trajectory": "another name of Run",
    "students.turn": "the inside of a student's step, called at each: it checks nothing",
    "students.sampled_slopes": "the inside of a student's step, called at each: it checks nothing",
    "population.ExactLoss": "the inside of excess_loss and gradients, called at each step: it checks nothing",
    "scores.Entmax.pull_back": "the inside of a step",
    "scores.ReluNormalised.pull_back": "the inside of a step",
    "descent.Run": "a record: it keeps what it is given",
    "linear_attention.Certificate": "a record: `certify` makes it",
    "linear_attention.Fit": "a record: `learn` makes it",
    "in_context_recall.Sentences": "a record: `Recall.sample` makes it",
    "laws.LateLaws": "a record: `late` makes it",
    "scalar_dynamics.ScalarDynamics.as_run": "the inside of `run`, `solve` and `laws.closed_form`",
}
INFINITE = {  # documented
    "activations.Activation.__call__": "NaN stays NaN",
    "scores.Entmax.__call__": "NaN stays NaN",
    "scores.ReluNormalised.__call__": "NaN stays NaN",
    "descent.population": "the gap, where the scores off the support underflow",
    "heads.slopes()": "`descend` refuses the loss, and tells the step",
    "selection.slopes()": "`descend` refuses the loss, and tells the step",
    "linear_attention.slopes()": "`descend` refuses the loss, and tells the step",
    "group_sparse_classification.slopes()": "`descend` refuses the loss, and tells the step",
    "laws.late_loss": "infinite at T = 0",
    "laws.late": "infinite at T = 0",
    "laws.mixed_late_loss": "infinite at T = 0",
    "scalar_dynamics.ScalarDynamics.excess_loss_law": "infinite at T = 0",
    "phases.ending": "NaN for a run that diverged",
}
OF_SHAPE = ("one row less", "turned", "one more axis", "one axis less", "no rows", "drawn")
ALSO = {  # the words by which an error names an argument, beside its own name
    "graph": r"degree|node",
    "position": r"position",
    "positions": r"position",
    "record": r"step in record",
    "groups": r"group",
    "W_KQ": r"logits",
    "task": r"triggers|alpha",
    "start": r"margins",
    "gamma": r"diverged",
}


def key_seed(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


V, S, X = normal(0, 2, 3), scattered(4, 2, 0), normal(1, 5, 3, 4)
KQ, P = normal(2, 4, 4), orthogonal(0, 4)
TEACHER, EVEN = teachers.Teacher(V, S, RELU), teachers.Teacher(V, S, activations.IDENTITY)
TWO = ScalarDynamics(100, 4, 32.0, 0.05, 0.1)
LINEAR = ScalarDynamics(36, 4, 32.0, 0.05)
QUERY = selection.OneQuery(20, 4, 8, 1.0)
CLEAN = groups.ClassifierScalars(6, 0.1, 2.0)
NOISY = groups.ClassifierScalars(6, 0.1, 2.0, 0.1)
TASK = recall.Recall(N=12, H=8, triggers=2, outputs=3, alpha=0.5)
LAYER = recall.reparametrised(TASK, [3.0, 2.0])
ATTENTION = linear.LinearAttention(normal(3, 2, 2, 2), normal(4, 2, 2, 2))
Z = normal(5, 9, 2, 3)
B_STAR = torch.eye(2, 3, dtype=torch.float64) / 2**0.5
TOKENS = torch.tensor([[7, 1, 4, 9, 8, 11, 3, 1], [5, 6, 0, 4, 0, 11, 9, 0]])


def bowl(w):
    return 0.5 * float((w * w).sum()), {"w": w}


def bowl_loss(w):
    return 0.5 * (w * w).sum()


def watched(_):
    return {"one": 1.0}


def margins_layer(margins):
    return recall.reparametrised(TASK, margins)


def of_recall(**changed):
    return {"N": 12, "H": 8, "triggers": 2, "outputs": 3, "alpha": 0.5, **changed}


def student_sizes():
    return {"M": 2, "d": 3, "D": 4, "sigma": RELU, "P": P.clone()}


def descent_of(**more):
    return {"teacher": TEACHER, "eta": 0.1, "steps": 3, "P": P.clone(), "eta_KQ": 0.05, "record": [0, 2], **more}


def curve():
    return {"x": [1.0, 2.0, 4.0], "y": [8.0, 4.0, 1.0]}


# name: (function, its arguments made anew)
CALLS: dict[str, tuple[Callable, Callable[[], dict]]] = {
    "sources": (bilinear.sources, dict),
    "fingerprint": (bilinear.fingerprint, dict),
    # activations
    "activations.Activation": (Activation, lambda: {"slope": 0.1}),
    "activations.Activation.__call__": (Activation(0.1).__call__, lambda: {"z": V.clone()}),
    "activations.Activation.product_moment": (
        Activation(0.1).product_moment,
        lambda: {name: torch.tensor(value).double() for name, value in (("var_u", 1.0), ("var_v", 2.0), ("cov", 0.5))},
    ),
    "activations.leaky_relu": (activations.leaky_relu, lambda: {"slope": 0.1}),
    # curves
    "curves.marks": (curves.marks, lambda: {"steps": 1000, "n": 7, "first": 1}),
    "curves.crossing": (curves.crossing, lambda: {**curve(), "level": 2.0}),
    "curves.power": (curves.power, lambda: {**curve(), "between": (1.0, 9.0)}),
    "curves.z_score": (curves.z_score, lambda: {"values": [1.0, 2.0, 4.0], "expected": 2.0}),
    "curves.furthest": (curves.furthest, lambda: {"values": [0.9, 1.3], "target": 1.0}),
    # descent
    "descent.descend": (
        descent.descend,
        lambda: {"slopes": bowl, "start": {"w": V.clone()}, "eta": 0.5, "steps": 3, "record": [0, 2]},
    ),
    "descent.by_autograd": (lambda loss: descent.by_autograd(loss)(w=V.clone()), lambda: {"loss": bowl_loss}),
    "descent.population": (
        descent.population,
        lambda: descent_of(watch=watched, optimiser=functools.partial(torch.optim.SGD, momentum=0.9)),
    ),
    "descent.online": (
        descent.online,
        lambda: descent_of(seed=0, batch=4, noise=0.5, inputs=inputs.gaussian, watch=watched),
    ),
    "descent.empirical": (descent.empirical, lambda: descent_of(seed=0, samples=4, noise=0.5)),
    # enclosures
    "enclosures.RationalScalars": (
        enclosures.RationalScalars,
        lambda: {"D": 20, "K": 3, "V_norm_sq": 500, "eta": Fraction(1, 20), "slope": Fraction(1, 10), "bits": 256},
    ),
    # floors
    "floors.best_student": (floors.best_student, lambda: {"teacher": EVEN}),
    "floors.nearest": (floors.nearest, lambda: {"B": V.clone()}),
    # heads
    "heads.excess_loss": (
        heads.excess_loss,
        lambda: {"teacher": TEACHER, "W_V": normal(6, 2, 2, 3), "S": torch.softmax(normal(7, 2, 4, 4), 1)},
    ),
    "heads.slopes": (
        lambda teacher, scores: heads.slopes(teacher, scores=scores),
        lambda: {"teacher": TEACHER, "scores": scores.SOFTMAX},
    ),
    "heads.slopes()": (heads.slopes(TEACHER), lambda: {"W_V": normal(6, 2, 2, 3), "W_KQ": normal(7, 2, 4, 4)}),
    # images
    "images.digits": (images.digits, lambda: {"size": 8}),
    "images.at_hand": (images.at_hand, dict),
    "images.patch_grid": (images.patch_grid, lambda: {"side": 4, "pool": 2}),
    "images.tokens": (images.tokens, lambda: {"images": normal(8, 2, 6, 6), "patch": 2, "pool": 3}),
    # laws
    **{
        f"laws.{law}": (getattr(laws, law), lambda scalars=scalars, more=more: {"scalars": scalars, **more})
        for law, scalars, more in (
            ("escape_time", TWO, {}),
            ("largest_stable_eta", TWO, {}),
            ("first_step", TWO, {}),
            ("slow_manifold", TWO, {"gap": 1.0}),
            ("overshoot", TWO, {}),
            ("slow_time", LINEAR, {"gap": 1.0}),
            ("lag", TWO, {"gap": 1.0}),
            ("arrival", TWO, {"gap": 1.0}),
            ("half_attention_time", TWO, {}),
            ("late_loss", TWO, {"T": 1e6}),
            ("late", TWO, {"T": 1e6}),
            ("next_order", TWO, {"T": 1e6}),
            ("closed_form", LINEAR, {"T": 3000.0}),
        )
    },
    "laws.theorem_eta": (laws.theorem_eta, lambda: {"M": 100, "D": 36}),
    "laws.mixed_late_loss": (laws.mixed_late_loss, lambda: {"teacher": TEACHER, "eta": 0.1, "T": 100.0}),
    "laws.mixed_next_order": (laws.mixed_next_order, lambda: {"teacher": TEACHER, "eta": 0.1, "T": 1e4}),
    "laws.label_noise_floor": (
        laws.label_noise_floor,
        lambda: {"teacher": TEACHER, "eta": 0.1, "batch": 100, "noise": 0.5},
    ),
    # phases
    "phases.ending": (
        phases.ending,
        lambda: {"D": 36, "K": 4, "steps": 20, "V_norm_sq": 32.0, "slope": 0.1, "eta": 0.05},
    ),
    "phases.ending, of matrices": (phases.ending, lambda: {"D": 6, "K": 2, "steps": 20, "fraction": 0.5, "seed": 3}),
    # population
    "population.excess_loss": (population.excess_loss, lambda: {"teacher": TEACHER, "W_V": 2 * V, "S": S.T.clone()}),
    "population.gradients": (
        population.gradients,
        lambda: {"teacher": TEACHER, "W_V": 2 * V, "W_KQ": KQ.clone(), "P": P.clone()},
    ),
    # positions
    "positions.haar": (positions.haar, lambda: {"D": 4, "generator": key_seed()}),
    "positions.sines": (positions.sines, lambda: {"D": 4}),
    "positions.sinusoidal": (positions.sinusoidal, lambda: {"D": 5, "size": 4, "base": 100.0}),
    "positions.low_rank": (positions.low_rank, lambda: {"D": 5, "rank": 2, "generator": key_seed()}),
    # scalar_dynamics
    "scalar_dynamics.ScalarDynamics": (
        ScalarDynamics,
        lambda: {"D": 100, "K": 4, "V_norm_sq": 32.0, "eta": 0.05, "slope": 0.1},
    ),
    "scalar_dynamics.ScalarDynamics.of": (ScalarDynamics.of, lambda: {"teacher": TEACHER, "eta": 0.1}),
    "scalar_dynamics.ScalarDynamics.at": (TWO.at, lambda: {"fraction": 0.5}),
    "scalar_dynamics.ScalarDynamics.excess_loss_law": (TWO.excess_loss_law, lambda: {"T": 1e6}),
    "scalar_dynamics.ScalarDynamics.excess_loss": (TWO.excess_loss, lambda: {"C1": 0.5, "gap": 1.0}),
    "scalar_dynamics.ScalarDynamics.run": (TWO.run, lambda: {"steps": 5}),
    "scalar_dynamics.ScalarDynamics.solve": (TWO.solve, lambda: {"times": [5.0, 40.0], "map_steps": 10}),
    "scalar_dynamics.ScalarDynamics.reaches": (LINEAR.reaches, lambda: {"gap": 1.0, "map_steps": 3000}),
    "scalar_dynamics.ScalarDynamics.student": (
        ScalarDynamics.of(TEACHER, 0.1).student,
        lambda: {"teacher": TEACHER, "C1": 0.5, "gap": 1.0},
    ),
    # scores
    "scores.entmax": (scores.entmax, lambda: {"alpha": 1.5}),
    "scores.Entmax": (scores.Entmax, lambda: {"alpha": 1.5}),
    "scores.Entmax.__call__": (scores.Entmax(1.5).__call__, lambda: {"logits": KQ.clone()}),
    "scores.Entmax.__call__, softmax": (scores.SOFTMAX.__call__, lambda: {"logits": KQ.clone()}),
    "scores.ReluNormalised": (scores.ReluNormalised, dict),
    "scores.ReluNormalised.__call__": (scores.ReluNormalised().__call__, lambda: {"logits": KQ.abs()}),
    # selection
    "selection.all_sets": (selection.all_sets, lambda: {"D": 4, "K": 2}),
    "selection.slopes": (
        lambda sets, queries: selection.slopes(sets, queries)(torch.eye(3), torch.zeros(3, np.shape(queries)[-1])),
        lambda: {"sets": torch.eye(3).double() + torch.eye(3).roll(1, 0), "queries": normal(9, 3, 2)},
    ),
    "selection.slopes()": (
        selection.slopes(torch.eye(4).double(), torch.eye(4).double()),
        lambda: {"W_V": normal(9, 3, 3), "W_KQ": KQ.clone()},
    ),
    "selection.OneQuery": (selection.OneQuery, lambda: {"D": 100, "K": 4, "d": 8, "eta": 1.0}),
    "selection.OneQuery.run": (QUERY.run, lambda: {"steps": 5}),
    "selection.OneQuery.solve": (QUERY.solve, lambda: {"times": [5.0, 1200.0]}),
    # students
    "students.PositionOnlyTransformer": (
        students.PositionOnlyTransformer,
        lambda: {**student_sizes(), "scores": scores.SOFTMAX, "W_V": V.clone(), "W_KQ": KQ.clone()},
    ),
    "students.PositionOnlyTransformer.of": (
        students.PositionOnlyTransformer.of,
        lambda: {"teacher": TEACHER, "P": P.clone(), "scores": scores.SOFTMAX, "W_V": V.clone(), "W_KQ": KQ.clone()},
    ),
    "students.PositionOnlyTransformer.logits": (students.PositionOnlyTransformer(2, 3, 4, RELU, P).logits, dict),
    "students.PositionOnlyTransformer.scores": (students.PositionOnlyTransformer(2, 3, 4, RELU, P).scores, dict),
    "students.PositionOnlyTransformer.forward": (
        students.PositionOnlyTransformer(2, 3, 4, RELU, P, W_V=V, W_KQ=KQ),
        lambda: {"X": X.clone()},
    ),
    "students.FullTransformer": (students.FullTransformer, student_sizes),
    "students.FullTransformer.blocks": (students.FullTransformer(2, 3, 4, RELU, P).blocks, dict),
    "students.FullTransformer.forward": (students.FullTransformer(2, 3, 4, RELU, P), lambda: {"X": X.clone()}),
    "students.SeparateTransformer": (
        students.SeparateTransformer,
        lambda: {**student_sizes(), "scale": 0.1, "generator": key_seed()},
    ),
    "students.SeparateTransformer.blocks": (students.SeparateTransformer(2, 3, 4, RELU, P).blocks, dict),
    "students.SeparateTransformer.forward": (
        students.SeparateTransformer(2, 3, 4, RELU, P, scale=0.1, generator=key_seed()),
        lambda: {"X": X.clone()},
    ),
    # sweeps
    "sweeps.together": (sweeps.together, lambda: {"calls": [functools.partial(pow, 2, 3)]}),
    "sweeps.grid": (
        lambda function: sweeps.grid(function, M=1, D=[8]).theorem_eta.tolist(),
        lambda: {"function": laws.theorem_eta},
    ),
    # teachers
    "teachers.Teacher": (teachers.Teacher, lambda: {"V_star": V.clone(), "S_star": S.clone(), "sigma": RELU}),
    "teachers.Teacher.__call__": (TEACHER, lambda: {"X": X.clone()}),
    "teachers.Teacher.to": (TEACHER.to, lambda: {"where": torch.float32}),
    "teachers.convolution": (
        teachers.convolution,
        lambda: {"V_star": V.clone(), "D": 4, "K": 2, "sigma": RELU, "groups": [[0, 2], [1, 3]]},
    ),
    "teachers.graph_scores": (
        teachers.graph_scores,
        lambda: {"graph": nx.cycle_graph(4), "normalisation": "walk"},
    ),
    "teachers.graph_convolution": (
        teachers.graph_convolution,
        lambda: {"V_star": V.clone(), "graph": nx.cycle_graph(4), "sigma": RELU},
    ),
    "teachers.token_selection": (teachers.token_selection, lambda: {"d": 2, "D": 4, "positions": [1, 3]}),
    "teachers.group_sparse": (teachers.group_sparse, lambda: {"v_star": V[0].clone(), "D": 4, "position": 1}),
    "teachers.scattered_scores": (
        teachers.scattered_scores,
        lambda: {"D": 4, "counts": [1, 2, 3, 4], "generator": key_seed(), "uneven": True},
    ),
    "teachers.six_sets": (teachers.six_sets, lambda: {"V_star": V.clone(), "slope": 0.1}),
    # inputs
    **{
        f"inputs.{law}": (
            lambda size, generator, dtype, law=law, **more: getattr(inputs, law)(
                size, 3, 4, generator=generator, dtype=dtype, **more
            ),
            lambda more=more: {"size": 5, "generator": key_seed(), "dtype": torch.float64, **more},
        )
        for law, more in (
            ("gaussian", {}),
            ("exponential", {}),
            ("centred_exponential", {}),
            ("pareto", {"index": 3.0}),
            ("equicorrelated", {"correlation": 0.5}),
        )
    },
    # neighbours: linear attention
    "linear_attention.LinearAttention": (
        linear.LinearAttention,
        lambda: {"V": normal(3, 2, 2, 2), "Q": normal(4, 2, 2, 2)},
    ),
    "linear_attention.LinearAttention.__call__": (ATTENTION, lambda: {"Z": Z.clone()}),
    "linear_attention.monomials": (linear.monomials, lambda: {"d": 3}),
    "linear_attention.unfolding": (linear.unfolding, lambda: {"d": 3}),
    "linear_attention.features": (linear.features, lambda: {"Z": Z.clone()}),
    "linear_attention.folded_features": (linear.folded_features, lambda: {"Z": Z.clone()}),
    "linear_attention.from_lifted": (linear.from_lifted, lambda: {"lifted": KQ.clone()}),
    "linear_attention.Certificate.relations": (linear.certify(Z[:3]).relations, lambda: {"limit": 2}),
    "linear_attention.Certificate.covers": (linear.certify(Z[:3]).covers, lambda: {"Z": Z.clone()}),
    "linear_attention.certify": (linear.certify, lambda: {"Z": Z.clone()}),
    "linear_attention.certify_moment": (
        linear.certify_moment,
        lambda: {"moment": linear.gaussian_moment(2, 4)},
    ),
    "linear_attention.learn": (linear.learn, lambda: {"Z": Z.clone(), "Y": ATTENTION(Z)}),
    "linear_attention.slopes": (
        lambda p, moment: linear.slopes(p, moment)(
            *(normal(seed, 2, 4).to(p).expand(*p.shape[:-2], 2, 4) for seed in (3, 4))
        ),
        lambda: {"p": ATTENTION.p, "moment": linear.gaussian_moment(2, 4)},
    ),
    "linear_attention.slopes()": (
        linear.slopes(ATTENTION.p, linear.gaussian_moment(2, 4)),
        lambda: {"A": normal(3, 2, 4), "B": normal(4, 2, 4)},
    ),
    "linear_attention.train_heads": (
        linear.train_heads,
        lambda: {
            "p": ATTENTION.p[None],
            "moment": linear.gaussian_moment(2, 4),
            "heads": 2,
            "steps": 2,
            "eta": 0.03,
            "generator": key_seed(),
            "record": [0, 2],
        },
    ),
    "linear_attention.gaussian_moment": (linear.gaussian_moment, lambda: {"d": 2, "n": 4}),
    "linear_attention.key_value_layer": (linear.key_value_layer, dict),
    "linear_attention.key_value_inputs": (
        linear.key_value_inputs,
        lambda: {"samples": 5, "unitary": 0.5, "generator": key_seed()},
    ),
    "linear_attention.key_value_moment": (linear.key_value_moment, lambda: {"unitary": 0.5}),
    "linear_attention.automaton_inputs": (
        linear.automaton_inputs,
        lambda: {"tables": torch.tensor([[1, 0], [0, 0]]), "pairs": torch.tensor([1, 0]), "states": 2},
    ),
    # neighbours: recall
    "in_context_recall.Recall": (recall.Recall, of_recall),
    "in_context_recall.Recall.sample": (TASK.sample, lambda: {"n": 4, "generator": key_seed()}),
    "in_context_recall.Recall.risk": (
        TASK.risk,
        lambda: {"layer": LAYER, "sentences": TASK.sample(4, key_seed())},
    ),
    "in_context_recall.Layer": (
        recall.Layer,
        lambda: {
            "V": LAYER.V.clone(),
            "W": LAYER.W.clone(),
            "F": LAYER.F.clone(),
            "attention": "relu",
            "kappa": 0.5,
            "nudge": 1e-8,
        },
    ),
    "in_context_recall.Layer.read": (LAYER.read, lambda: {"tokens": TOKENS.clone()}),
    "in_context_recall.Layer.parts": (LAYER.parts, lambda: {"tokens": TOKENS.clone()}),
    "in_context_recall.Layer.__call__": (LAYER, lambda: {"tokens": TOKENS.clone()}),
    "in_context_recall.reparametrised": (
        recall.reparametrised,
        lambda: {"task": TASK, "margins": [3.0, 2.0], "gamma": 0.5, "attention": "relu", "kappa": 0.5, "value": 2.0},
    ),
    "in_context_recall.losses": (
        recall.losses,
        lambda: {"logits": normal(3, 2, 4), "label": torch.tensor([3, 0])},
    ),
    "in_context_recall.train": (
        recall.train,
        lambda: {
            "task": TASK,
            "start": {"margins": torch.zeros(2, dtype=torch.float64)},
            "build": margins_layer,
            "eta": 0.1,
            "steps": 2,
            "seed": 0,
            "batch": 4,
            "data": TASK.sample(4, key_seed()),
            "record": [0, 2],
            "test": 5,
        },
    ),
    "in_context_recall.free": (recall.free, lambda: {"task": TASK}),
    "in_context_recall.margin_dynamics": (
        recall.margin_dynamics,
        lambda: {"shares": [0.5, 0.5], "N": 60, "eta": 0.1, "steps": 4, "norm": "joint"},
    ),
    "in_context_recall.noiseless_loss": (recall.noiseless_loss, lambda: {"N": 60, "margin": 1.0}),
    "in_context_recall.noisy_loss": (recall.noisy_loss, lambda: {"N": 60, "alpha": 0.5, "margin": 1.0}),
    "in_context_recall.softmax_floor": (recall.softmax_floor, lambda: {"N": 60, "value": 1.0}),
    "in_context_recall.entropy": (recall.entropy, lambda: {"alpha": 0.5}),
    "in_context_recall.finite_sample_excess": (recall.finite_sample_excess, lambda: {"samples": 100, "alpha": 0.5}),
    "in_context_recall.divergence": (recall.divergence, lambda: {"alpha": 0.5, "guess": 0.4}),
    # neighbours: classification
    "group_sparse_classification.boundary_loss": (groups.boundary_loss, lambda: {"A": 1.0}),
    "group_sparse_classification.boundary_slope": (groups.boundary_slope, lambda: {"A": 1.0}),
    "group_sparse_classification.population_loss": (
        groups.population_loss,
        lambda: {"B": normal(3, 2, 3), "B_star": B_STAR.clone(), "flip": 0.1},
    ),
    "group_sparse_classification.slopes": (
        lambda B_star, flip: groups.slopes(B_star, flip)(torch.ones(np.shape(B_star)).double()),
        lambda: {"B_star": B_STAR.clone(), "flip": 0.1},
    ),
    "group_sparse_classification.slopes()": (groups.slopes(B_STAR, 0.1), lambda: {"B": normal(3, 2, 3)}),
    "group_sparse_classification.error_rate": (
        groups.error_rate,
        lambda: {"B": normal(3, 2, 3), "B_star": B_STAR.clone()},
    ),
    "group_sparse_classification.descend": (
        groups.descend,
        lambda: {"B_star": B_STAR.clone(), "eta": 0.5, "steps": 3, "code_norm": 2.0, "flip": 0.1, "record": [0, 2]},
    ),
    "group_sparse_classification.ClassifierScalars": (
        groups.ClassifierScalars,
        lambda: {"D": 100, "eta": 0.1, "code_norm": 2.0, "flip": 0.1},
    ),
    **{
        f"group_sparse_classification.ClassifierScalars.{law}": (getattr(of, law), lambda: {"t": 1e4})
        for law, of in (
            ("V_law", CLEAN),
            ("loss_law", CLEAN),
            ("next_order", CLEAN),
            ("off_law", CLEAN),
            ("noisy_excess_law", NOISY),
            ("noisy_off_law", NOISY),
        )
    },
    "group_sparse_classification.ClassifierScalars.loss": (NOISY.loss, lambda: {"V": 0.5, "gap": 1.0}),
    "group_sparse_classification.ClassifierScalars.run": (CLEAN.run, lambda: {"steps": 5}),
    "group_sparse_classification.ClassifierScalars.solve": (
        CLEAN.solve,
        lambda: {"times": [50.0, 400.0], "map_steps": 10},
    ),
    "group_sparse_classification.margin_run": (
        groups.margin_run,
        lambda: {"D": 100, "eta": 0.001, "code_norm": 2.0, "gamma": 1.0, "steps": 5},
    ),
    "group_sparse_classification.layer": (
        groups.layer,
        lambda: {"X": normal(3, 5, 2, 3), "v": normal(4, 5), "W": normal(5, 5, 5), "P": torch.eye(3).double()},
    ),
    "group_sparse_classification.train_layer": (
        groups.train_layer,
        lambda: {
            "v_star": torch.tensor([0.6, 0.8]).double(),
            "position": 1,
            "P": positions.sines(3),
            "eta": 0.1,
            "steps": 2,
            "batch": 4,
            "flip": 0.1,
            "seed": 0,
            "record": [0, 2],
        },
    ),
    "group_sparse_classification.logistic_regression_error": (
        groups.logistic_regression_error,
        lambda: {"n": 100, "features": 10, "C": 0.001},
    ),
}


def public() -> set[str]:
    """Every public function and class of the library, and every public method of its classes, by module."""
    found = set()
    for info in [*pkgutil.walk_packages(bilinear.__path__, "bilinear."), None]:
        module = bilinear if info is None else importlib.import_module(info.name)
        short = "" if info is None else module.__name__.rpartition(".")[2] + "."
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(value):
                methods = [
                    m for m, of in vars(value).items() if callable(getattr(value, m)) and not isinstance(of, type)
                ]
                found |= {f"{short}{name}.{m}" for m in methods if m == "__call__" or not m.startswith("_")}
            if callable(value) and hasattr(value, "__name__"):
                found.add(short + name)
    return found


def left_out(name: str) -> bool:
    """Whether the name, its class or its module is left out, with a reason."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in LEFT_OUT for n in range(1, len(parts) + 1))


# --- odd values ------------------------------------------------------------------------------------------------------


def odd_values(value) -> Iterator[tuple[str, object, bool]]:
    """(what is odd, the value, whether it means the same as the plain one) in place of a right one."""
    yield from [("None", None, False), ("a word", "abc", False), ("an object", object(), False), ("empty", [], False)]
    yield from [("a date", np.datetime64("2020-01-01"), False), ("a set of lists", [[1.0], [2.0, 3.0]], False)]
    if isinstance(value, bool):
        return
    if isinstance(value, Tensor):
        yield from _odd_tensors(value)
    elif isinstance(value, int | float):
        yield from _odd_numbers(value)
    elif isinstance(value, list | tuple | np.ndarray) and not callable(next(iter(value))):
        yield from _odd_lists(value)
    elif isinstance(value, Mapping):
        name, inner = next(iter(value.items()))
        yield from ((what, {name: odd}, same) for what, odd, same in odd_values(inner))
        yield from [("another name", {"t": inner}, False), ("empty mapping", {}, False)]
    else:
        yield from [("a number", 0, False), ("a real", 0.5, False), ("a tensor", torch.ones(2), False)]


def _odd_numbers(value):
    kinds = (np.int8, np.int16, np.int32, np.int64, np.uint8) if isinstance(value, int) else (np.float64, np.float32)
    for kind in kinds:
        if isinstance(value, float) or np.iinfo(kind).min <= value <= np.iinfo(kind).max:
            yield kind.__name__, kind(value), float(kind(value)) == value
    if isinstance(value, float):
        if abs(value) < 6e4:
            yield "float16", np.float16(value), False
        yield "a fraction", Fraction(value), True
        yield "int8", np.int8(min(max(value, 1), 100)), False
        yield "huge int8", np.int8(100), False
    for odd in (
        math.nan,
        math.inf,
        -math.inf,
        0,
        0.0,
        -1,
        -1.5,
        1e160,
        1e300,
        -1e300,
        1e-170,
        5e-324,
        10**400,
        2**70,
        0.3,
    ):
        yield repr(odd)[:10], odd, False
    for odd in (True, np.bool_(True), "1", b"1", 1j, np.timedelta64(1), np.datetime64("NaT"), np.float32("nan")):
        yield repr(odd), odd, False
    yield "a list", [value], False
    yield "nested", [[value]], False
    yield "with nan", [value, math.nan], False
    yield "an array", np.array([value]), False
    yield "a tensor", torch.tensor([value]), False
    yield "meta", torch.tensor(value, device="meta"), False
    yield "masked", np.ma.masked_array([value, value], [False, True]), False
    yield "complex", np.array([1j]), False
    yield "strings", np.array(["1"]), False
    yield "dates", np.array(["2020-01-01"], dtype="datetime64[D]"), False
    yield "objects", np.array([None]), False


def _odd_lists(value):
    plain = np.asarray(value)
    yield "an array", plain, True
    if plain.ndim == 1:
        yield "not contiguous", np.repeat(plain, 2)[::2], True
        yield "a tensor", torch.tensor(plain), True
    for odd in (
        math.nan,
        math.inf,
        -1,
        1e160,
        1e300,
        1e-170,
        10**400,
        2**70,
        "1",
        None,
        True,
        1j,
        np.datetime64("NaT"),
    ):
        yield f"last {repr(odd)[:10]}", [*value[:-1], odd], False
    yield "nested", [list(value)], False
    yield "one too few", list(value)[:-1], False
    yield "zeros", [0 * plain[0]] * len(value) if plain.ndim == 1 else [], False
    yield "a number", 3, False
    yield "masked", np.ma.masked_array(plain, np.arange(plain.size).reshape(plain.shape) == 1), False
    yield "bools", plain > 0, False
    yield "complex", plain * 1j, False
    yield "words", plain.astype(str), False
    yield "meta", torch.tensor(plain, device="meta"), False
    yield "sparse", torch.tensor(plain).to_sparse(), False


def _odd_tensors(value):
    yield "numpy", value.numpy().copy(), True
    yield "a list", value.tolist(), True
    wide = torch.stack([value, value], -1)
    yield "not contiguous", wide[..., 0], True
    if value.is_floating_point():
        yield "requires grad", value.clone().requires_grad_(), True
        yield "float32", value.float(), False
        yield "half", value.half(), False
        yield "bfloat16", value.bfloat16(), False
        yield "a NaN", torch.where(torch.arange(value.numel()).reshape(value.shape) == 0, math.nan, value), False
        yield "an infinity", torch.where(torch.arange(value.numel()).reshape(value.shape) == 0, math.inf, value), False
        for scale in (1e160, 1e300, 1e-110, 1e-170, 5e-324):
            yield f"times {scale}", value * scale, False
    for dtype in (torch.int64, torch.int8, torch.uint8, torch.bool, torch.complex128):
        yield str(dtype), value.to(dtype), False
    yield "zeros", torch.zeros_like(value), False
    yield "negative", -value.abs(), False
    yield "no rows", value[:0] if value.ndim else value.reshape(1)[:0], False
    yield "one row less", value[1:] if value.ndim else value[None], False
    yield "one more axis", value[None], False
    yield "one axis less", value[0] if value.ndim else value, False
    yield "turned", value.mT if value.ndim > 1 else value, False
    yield "meta", value.to("meta"), False
    yield "sparse", value.to_sparse() if value.ndim else value.to("meta"), False
    yield "masked", np.ma.masked_array(value.numpy(), np.arange(value.numel()).reshape(value.shape) == 0), False
    yield "words", value.numpy().astype(str), False
    yield "objects", np.full(value.shape, None), False
    yield "a huge integer", np.full(value.shape, 10**400, dtype=object).tolist(), False
    yield "a number", 3, False


def drawn(value) -> st.SearchStrategy:
    """Any value in place of a right one: numbers of every kind and size, arrays of every kind and shape.

    Sizes between those of the right calls and those that no machine holds are not drawn: they only take long.
    """
    integers = st.one_of(st.integers(-(2**80), 12), st.integers(2**65, 2**80))
    numbers = st.one_of(integers, st.floats(), st.complex_numbers(), st.booleans(), st.fractions())
    scalars = st.builds(
        lambda number, kind: _or_itself(number, kind),
        st.one_of(st.integers(-128, 12), st.floats(width=16)),
        st.sampled_from([np.int8, np.int64, np.uint8, np.uint64, np.float16, np.float64, np.complex64, np.array]),
    )
    anything = st.one_of(numbers, scalars, st.text(max_size=5), st.none(), st.lists(numbers, max_size=3))
    if isinstance(value, Tensor | np.ndarray | list | tuple) and not isinstance(value, str):
        plain = torch.as_tensor(value) if not _of_functions(value) else None
        if plain is not None:
            return st.one_of(_tensors(plain), _tensors(plain).map(lambda t: t.detach().tolist()), anything)
    return anything


def _of_functions(value) -> bool:
    return isinstance(value, list | tuple) and any(map(callable, value))


def _or_itself(number, kind):
    try:
        with np.errstate(all="ignore"):
            return kind(number)
    except (ValueError, OverflowError):
        return number


@st.composite
def _tensors(draw, plain: Tensor) -> Tensor:
    """A tensor of any kind; of the right shape in about half of all draws, of right values in about a third."""
    shape = draw(st.one_of(st.just(tuple(plain.shape)), st.lists(st.integers(0, 4), max_size=4).map(tuple)))
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8,
                                  torch.uint8, torch.bool, torch.complex128]))  # fmt: skip
    scale = draw(st.one_of(st.just(1.0), st.floats(-2, 2), st.floats()))
    size = math.prod(shape)
    if draw(st.booleans()):
        flat = torch.tensor(draw(st.lists(st.floats(-4, 4), min_size=size, max_size=size)), dtype=torch.float64)
    else:
        flat = (
            plain.double().flatten().repeat(1 + size // max(1, plain.numel()))[:size]
            if plain.numel()
            else torch.zeros(size)
        )
    found = (flat.double() * scale).reshape(shape)
    found = (
        found.nan_to_num(0, 100, -100).clamp(-100, 100).to(dtype) if not dtype.is_floating_point else found.to(dtype)
    )
    if draw(st.booleans()) and found.ndim > 1:
        found = found.mT.contiguous().mT
    if dtype.is_floating_point and draw(st.booleans()):
        found = found.requires_grad_()
    return found


# --- what came of a call ---------------------------------------------------------------------------------------------


def flat(result, depth: int = 0) -> list:
    """Every number in a result, and in what is computed when it is read."""
    if depth > 4 or result is None or isinstance(result, str | bytes | type | torch.dtype | torch.Generator | nx.Graph):
        return []
    if isinstance(result, Tensor):
        return [result.detach().double().numpy().copy()]
    if isinstance(result, np.ndarray):
        return [result.astype(float)] if result.dtype.kind in "fiub" else []
    if isinstance(result, bool | int | float | np.number | np.bool_):
        return [np.asarray(float(result))]
    if isinstance(result, nn.Module):
        return [flat(w)[0] for w in result.state_dict().values()]
    if isinstance(result, descent.Run):
        return [part for name in [*result.columns, *result.weights] for part in flat(getattr(result, name))]
    if dataclasses.is_dataclass(result):
        lazy = [n for n, v in vars(type(result)).items() if isinstance(v, property | functools.cached_property)]
        parts = [getattr(result, field.name) for field in dataclasses.fields(result)]
        for name in lazy:
            try:
                parts.append(getattr(result, name))
            except ValueError:  # outside its hypothesis
                continue
        return [part for one in parts for part in flat(one, depth + 1)]
    if isinstance(result, Mapping):
        return [part for one in result.values() for part in flat(one, depth + 1)]
    if isinstance(result, list | tuple):
        return [part for one in result for part in flat(one, depth + 1)]
    return []


def same(one: list, other: list) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-300, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


def _frozen(arguments: dict) -> list:
    return [
        (name, repr(value) if not isinstance(value, Tensor) else flat_or_repr(value))
        for name, value in arguments.items()
    ]


def flat_or_repr(value):
    if isinstance(value, Tensor) and value.device.type == "cpu" and not value.is_sparse and not value.is_complex():
        return value.detach().double().numpy().tobytes()
    return repr(value)


def outcome(name: str, argument: str, what: str, odd, means_the_same: bool) -> tuple[str, str]:
    """(outcome, what was said) of the valid call with one argument replaced."""
    function, make = CALLS[name]
    arguments = make()
    arguments[argument] = odd
    before = _frozen({k: v for k, v in arguments.items() if not isinstance(v, torch.Generator)})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            result = flat(function(**arguments))
        except (ValueError, TypeError, FloatingPointError) as error:
            one_of = [argument] if what not in OF_SHAPE else arguments  # shapes that do not meet are several arguments
            words = "|".join([*(rf"(?<!\w){re.escape(one)}(?!\w)" for one in one_of), ALSO.get(argument, "(?!)")])
            named = re.search(words, str(error)) and type(error) in (ValueError, TypeError, FloatingPointError)
            found = "refused" if named else "unnamed", f"{type(error).__name__}: {error}"
        except Exception as error:
            found = "inside", f"{type(error).__name__}: {error}"
        else:
            finite = all(np.isfinite(part).all() for part in result)
            found = "accepted", ""
            if not finite and name.split(",")[0] not in INFINITE:
                found = "not finite", str(result)[:80]
            elif means_the_same:
                found = ("same", "") if same(result, _reference(name)) else ("differs", str(result)[:80])
    if told and found[0] not in ("inside", "unnamed"):
        found = "warned", str(told[0].message)
    if before != _frozen({k: v for k, v in arguments.items() if not isinstance(v, torch.Generator)}):
        found = "mutated", argument
    return found


@functools.cache
def _reference(name: str) -> list:
    function, make = CALLS[name]
    return flat(function(**make()))


def outcomes(name: str, share: float = 1.0) -> Iterator[tuple[str, str, str, str]]:
    """(argument, what is odd, outcome, what was said) of every spoiled call of a name, or of a share drawn of them."""
    draw = random.Random(name)
    _reference(name)
    for argument, value in CALLS[name][1]().items():
        for what, odd, means_the_same in odd_values(value):
            if draw.random() < share:
                yield argument, what, *outcome(name, argument, what, odd, means_the_same)
    function, make = CALLS[name]
    result = function(**make())
    _spoil(result)
    if not same(flat(function(**make())), _reference(name)):
        yield "", "a changed result", "mutated", "a second call gives another result"


def _spoil(result) -> None:
    """What a caller may do to what it was given."""
    for part in (
        result.values() if isinstance(result, Mapping) else result if isinstance(result, tuple | list) else [result]
    ):
        if isinstance(part, Tensor):
            with torch.no_grad():
                part.zero_()
        elif isinstance(part, np.ndarray):
            part[...] = 0

"""Bilinear teachers and the transformers that learn them.

The mathematics of "Transformers Trained via Gradient Descent Can Provably Learn a Class of Teacher Models"
(arXiv 2603.22801). Read in this order:

`activations`      the leaky family σ and its Gaussian moments
`teachers`         f*(X) = σ(V* X S*), and the paper's examples of it
`scores`           how logits become scores: softmax, and others
`students`         position-only attention (2.4), and the full layer (2.5)
`positions`        positional encodings P
`inputs`           laws of the tokens: the Gaussian one, and others to test on
`population`       the exact excess loss of a student, and its gradient
`heads`            the same of several heads
`descent`          the laboratory: gradient descent on the population, online, on a fixed sample, on anything
`curves`           reading a run: where a curve crosses a level, which power it follows
`compiled`         the two loops of these at machine speed
`sweeps`           many runs at once: in threads, or a function over a grid that remembers what is finished
`scalar_dynamics`  the two numbers that gradient descent moves
`laws`             when attention switches on, what is left late in training, how large a step may be
`enclosures`       some of these numbers with proved bounds, in ball arithmetic
`phases`           how a run ends: a cell of a phase diagram
`floors`           what no student of a kind can beat
`selection`        one query, and the set that it selects given in the input
`images`           handwritten digits as tokens (`mnist_files`: where MNIST lies)
`neighbours`       other papers under the same lens

Tensors are float64 unless the caller's are not; dtype and device follow the input.
"""

import ast
import functools
import hashlib
import importlib.metadata
import platform
from pathlib import Path


@functools.cache
def sources() -> str:
    """The hash of the library's code without comments and docstrings.

    Read from the files, so that nothing else of the library is imported.

    >>> len(sources())
    16
    """
    folder, parts = Path(__file__).parent, []
    for file in sorted(folder.rglob("*.py")):
        if not all(part.isidentifier() for part in file.relative_to(folder).with_suffix("").parts):  # an editor's copy
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8-sig"), filename=str(file))
        except UnicodeDecodeError:
            raise ValueError(f"{file}: is not UTF-8") from None
        for node in ast.walk(tree):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if documented and ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
        parts += [file.relative_to(folder).as_posix(), ast.dump(tree)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@functools.cache
def fingerprint() -> str:
    """The hash of everything here that can change a number: the sources, and the versions that they run with.

    >>> len(fingerprint())
    16
    """
    packages = ("torch", "numpy", "numba", "scipy", "scikit-learn", "networkx")
    parts = [platform.python_version(), *(f"{name} {importlib.metadata.version(name)}" for name in packages), sources()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

"""A small book in a temporary folder, built by a copy of `press`; and a ledger to check against in this process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from press import ROOT, claims, ledger

OPENING = """---
opening:
  asks: What does this chapter ask?
  needs: []
  runs: 5
  hero: HERO
  proves: that $x^2$ is a formula
  derives: nothing
  measures: a slope
"""
FRONT = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
TOC = """format: jb-book
root: book/index
parts:
  - caption: The paper
    numbered: true
    chapters:
      - file: book/paper/one
      - file: book/paper/two
  - caption: The ledger
    chapters:
      - file: book/items
      - file: book/scoreboard
      - file: book/references
"""
LEDGER = """[[section]]
title = "Section 3: theorems"
items = [
  { name = "Theorem 1", what = "the rates", page = "paper/one#one" },
  { name = "Definition 2", what = "a rate", page = "paper/two", note = "a definition" },
]

[[section]]
title = "Section 4: images"
items = [{ name = "Figure 1", what = "the images" }]

[[claim]]
id = "slope"
source = "Theorem 1, the slope"
by = "paper"
statement = "The loss falls as 1/T."
say = "It measures {measured} for $x^2$."
short = "a short name"
relation = "="
predicted = -1.0
expect = "holds"

[[claim]]
id = "power"
source = "derived in paper/one; Theorem 1"
by = "paper"
statement = "The loss grows as the fourth power."
say = "It measures {measured} for $x^2$."
short = "a short name"
relation = "="
predicted = 4.0
ours = 2.0
expect = "differs"

[[claim]]
id = "unmeasured"
source = "Figure 1"
by = "derived"
statement = "It holds on images too."
say = "It measures {measured} for $x^2$."
short = "a short name"
relation = "≥"
predicted = 0.9
expect = "not measured"
reason = "images not at hand"
"""
INDEX = """# A small book

A page with enough words to be read as a page, a citation {cite}`zhang2026teachers`,
and a number from another chapter: {glue:text}`paper/one.md::slope:.2f`.
A claim of another chapter measured {claim}`slope`, and one is {claim}`unmeasured`.

```{code-cell} python3
print("a landing page that runs")
```
"""
ONE = """# One

The first chapter has a formula $x^2$, claims, a parameter, a figure, and a few words more so that it counts.

```{code-cell} python3
from press import claims, figures
from press.numbers import glue
```

```{code-cell} python3
:tags: [parameters]

rate = 1.0
count = 3
```

```{code-cell} python3
glue(slope=-rate)
claims.check("slope", -rate, tolerance=0.01, why="exact here", control=("half the rate", -0.5))
claims.check("power", 2.0, tolerance=0.01, why="exact here", control=("the paper's power", 4.0))
glue(tiny=-2e-15 * rate)
```

```{code-cell} python3
---
mystnb:
  figure:
    name: fig-one
    caption: A matrix of two rows and two columns.
---
fig, ax = figures.plt.subplots()
figures.heat(ax, [[0, 1], [1, 0]])
figures.show(fig, alt="Two bright squares lie across a dark one.")
```

```{prf:theorem} The slope
:label: the-slope

The loss falls as $1/T$.
```

```{exercise} The power
:label: the-power

Find the power.
```

```{solution-start} the-power
:label: its-solution
:class: dropdown
```
It is 2, up to {glue:text}`tiny:.0e`.
Here is a formula ($z$).
```{solution-end}
```

Here the slope is {claim}`slope:.2f`, and {ref}`its-solution` is above.

```{hypotheses}
---
met: |
  - there is a rate
not-met: |
  - it is large
says: it falls as $1/T$
breaks: half the rate
---
```

````{derivation}
1. First the loss.

   ```{why}
   Since $y$ is $x$.
   ```
2. Then the slope is left.
````

```{code-cell} python3
---
summary: count the steps of size $h$
---
glue(many=1200 * rate, half=600 * rate)
print("printed words")
claims.matrix({"the power": {"$x^2$": "power"}}, "One claim in a table.")
```

```{predict} how many steps?
---
answer: many
right: <Twelve> $12^2$.
mistakes: |
  half: This is <half> of it.
---
```

```{code-cell} python3
claims.close()
```
"""
TWO = '''# Two

The second chapter has nothing to claim, but as many words as a page needs to be a page of a small book.

```{code-cell} python3
sum(range(10))
```

```{code-cell} python3
import os

import matplotlib.pyplot as plt

import bilinear
from press import figures


def told(name):
    """What the kernel's environment says."""
    return f"{name} is {os.environ.get(name)}"
```

```{code-cell} python3
[told(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "OPENBLAS")], told("PYTHONHASHSEED")
```

```{code-cell} python3
---
mystnb:
  figure:
    name: fig-two
    caption: A line falls to the slope {claim}`slope:.3f`.
---
fig, ax = plt.subplots()
ax.plot([0, 1], [1, 0])
figures.show(fig, alt="A line falls from one to zero.")
```

```{code-cell} python3
---
keep: the frames are the mathematics
---
frames = {f"{t} steps": [[t / 4, 0], [0, 1 - t / 4]] for t in range(5)}
first, *_ = frames.values()
```

```{code-cell} python3
---
show: it is read
---
# a number, said aloud
print("a number that is read")
```
'''
PROBE = """
import json, sys
from pathlib import Path

import bilinear
from press.build import chapters, publish, staleness


def now():
    for function in [*vars(bilinear).values(), *vars(chapters).values(), *vars(staleness).values()]:
        if hasattr(function, "cache_clear"):
            function.cache_clear()
    stale = [chapter.name for chapter in chapters.find() if not staleness.is_current(chapter)]
    return stale, None if stale else publish.inputs()


found = {"": now()}
for name, (path, old, new) in json.load(sys.stdin).items():
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = file.read_text(encoding="utf-8") if old else None
    assert old is None or old in text, (name, old)
    file.write_text(text.replace(old, new, 1) if old else new, encoding="utf-8")
    found[name] = now()
    file.write_text(text, encoding="utf-8") if old else file.unlink()
assert now() == found[""], "taken back"
print(json.dumps(found))
"""


class Book:
    """A copy of the project with a small book in it."""

    def __init__(self, root: Path):
        self.root = root
        self.environment = {k: v for k, v in os.environ.items() if k != "MNIST_DIR"} | {"PYTHONPATH": str(root / "lib")}

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def text(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def change(self, path: str, old: str, new: str) -> None:
        text = self.text(path)
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new, 1))

    def python(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        options = {"cwd": self.root, "env": self.environment, "capture_output": True, "text": True} | options
        return subprocess.run([sys.executable, *arguments], timeout=300, **options)

    def press(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.python("-m", "press", *arguments)

    def start(self, *arguments: str) -> subprocess.Popen:
        """A press of its own session, so that a signal to its group is what Ctrl-C in a terminal is.

        Tests that run in the background inherit an ignored SIGINT; a terminal's press does not.
        """
        options = {"cwd": self.root, "env": self.environment, "text": True, "start_new_session": True}
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            [sys.executable, "-m", "press", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )

    def hashes(self) -> dict[str, tuple[str, str | None]]:
        """For each chapter its key now, and that of its last good run."""
        code = "from press.build.staleness import *\nfrom press.build.chapters import find\n"
        code += "for c in find(): print(c.name, key(c), c.kept().get('hash'))"
        found = self.python("-c", code)
        assert found.returncode == 0, found.stderr
        return {name: (now, then) for name, now, then in map(str.split, found.stdout.splitlines())}

    def stale(self) -> set[str]:
        return {name for name, (now, then) in self.hashes().items() if now != then}

    def after(self, changes: dict[str, tuple[str, str | None, str]]) -> dict[str, tuple[set[str], bool]]:
        """For each change of a file, made and taken back: the chapters that are stale, and whether the site is."""
        told = self.python("-c", PROBE, input=json.dumps(changes))
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout)
        return {name: (set(stale), site != found[""][1]) for name, (stale, site) in found.items() if name}

    def executed(self, folder: str = "executed") -> dict[str, bytes]:
        """The notebooks of a folder of _build, by chapter."""
        place = self.root / "_build" / folder
        return {str(f.relative_to(place).with_suffix("")): f.read_bytes() for f in place.rglob("*.ipynb")}

    def page(self, name: str) -> BeautifulSoup:
        return BeautifulSoup(self.site()[f"book/{name}.html"], "html.parser")

    def site(self) -> dict[str, bytes]:
        html = self.root / "_build" / "html"
        return {str(f.relative_to(html)): f.read_bytes() for f in sorted(html.rglob("*")) if f.is_file()}


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Book:
    """The small book, built once."""
    book = Book(tmp_path_factory.mktemp("book") / "small")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("lib", "_config.yml", "constraints.txt", "pyproject.toml", "book/assets", "book/references.bib"):
        source, target = ROOT / name, book.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
    for name in ("items.md", "scoreboard.md", "references.md"):
        shutil.copy(ROOT / "book" / name, book.root / "book" / name)
    book.write("_toc.yml", TOC)
    book.write("book/claims.toml", LEDGER)
    book.write("lib/ready.py", "with open('prepared', 'a') as file: print(__name__, file=file)\n")
    book.change("pyproject.toml", 'prepare = "bilinear.compiled"', 'prepare = "ready"')  # compiling takes long
    for name, text, hero in (("index", INDEX, ""), ("paper/one", ONE, "fig-one"), ("paper/two", TWO, "fig-two")):
        opening = OPENING.replace("HERO", hero).replace("[]", "[two]" if hero == "fig-one" else "[]")
        front = FRONT.replace("---\n", opening, 1) if hero else FRONT
        book.write(f"book/{name}.md", front + text)
    told = book.press("build")
    assert told.returncode == 0, told.stdout + told.stderr
    return book


@pytest.fixture
def book(built, tmp_path) -> Book:
    """A copy of the built small book, to change."""
    return Book(Path(shutil.copytree(built.root, tmp_path / "small", symlinks=True)))


@pytest.fixture
def wait_for():
    """Wait until a condition is met."""

    def wait(condition, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    return wait


@pytest.fixture
def shown(monkeypatch) -> list[tuple[dict, dict]]:
    """What is displayed in this process: (data, metadata) of each output."""
    outputs = []

    def keep(data, metadata=None, raw=False):
        outputs.append((data, metadata or {}))

    for module in ("press.claims", "press.figures", "press.numbers"):
        monkeypatch.setattr(f"{module}.display", keep)
    return outputs


@pytest.fixture
def write_ledger(monkeypatch, tmp_path, shown):
    """Write a ledger, and check claims against it in this process."""
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    monkeypatch.setattr(claims, "_records", [])
    (tmp_path / "book").mkdir()

    def write(text: str) -> None:
        (tmp_path / "book" / "claims.toml").write_text(text, encoding="utf-8")

    write(LEDGER)
    return write

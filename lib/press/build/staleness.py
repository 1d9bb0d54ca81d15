"""Whether a chapter must be executed again: one key, of everything that can change what its run shows.

Not in it: prose, captions, comments, docstrings, blank lines, how cells are shown, the wording of the ledger. They are
taken from the text as it is when the page is made.
"""

import ast
import functools
import importlib.metadata
import io
import json
import pkgutil
import platform
import tokenize
import tomllib
from pathlib import Path

from press import ROOT, ledger, settings
from press.build.chapters import Chapter, checked, digest, is_part_of_book, read_text

NOT_RUN = ("__main__.py", "ledger.py")  # of this package's top level; the key holds what ledger.py reads


def is_current(chapter: Chapter) -> bool:
    """Whether the last good run is of the chapter as it is now, and holds an output for each of its cells."""
    cells = [cell for cell in chapter.executed().get("cells", []) if cell["cell_type"] == "code"]
    return len(cells) == len(chapter.code) and chapter.kept().get("hash") == key(chapter)


@functools.cache
def key(chapter: Chapter) -> str:
    """The hash of the chapter's sources and of the versions that it is run with."""
    return digest([sources(chapter), versions()])


@functools.cache
def sources(chapter: Chapter) -> str:
    """The hash of the chapter's code, claims and data, of what it imports, and of how it is run."""
    return digest(_sources(chapter))


def _sources(chapter: Chapter) -> dict:
    rows = ledger.claims()
    return {
        "code": [cell_code(cell.source) for cell in chapter.code],
        "tags": [[tag for tag in settings.TAGS if tag in cell.tags] for cell in chapter.code],
        "claims": [rows[claim].judged for _, claim in checked(chapter) if claim in rows],
        "data": data(chapter),
        "library": library(chapter),
        "beside": beside(chapter),
        "press": notebook_side(),
    }


def parts(chapter: Chapter) -> dict:
    """What a run keeps beside its key, to say later what differs: a hash of each part by its name, and the versions."""
    kept = {name: digest(part) for name, part in _sources(chapter).items() if name != "code"}
    for name, chosen in {"code": False, "parameters": True}.items():
        kept[name] = digest([cell_code(c.source) for c in chapter.code if ("parameters" in c.tags) == chosen])
    return {"parts": kept, "versions": versions()}


def reasons(chapter: Chapter) -> list[str]:
    """Why the chapter would be executed, in words; empty where its last good run is current."""
    if is_current(chapter):
        return []
    if not chapter.path("executed").exists():
        return ["its last run failed" if chapter.path("failed").exists() else "no run yet"]
    if not (kept := chapter.kept()):
        return ["its notebook is not as its run left it"]
    now = parts(chapter)
    found = [f"{name} changed" for name, part in now["parts"].items() if kept.get("parts", {}).get(name) != part]
    before, after = kept.get("versions", {}), now["versions"]
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            found.append(f"{name} was {before.get(name, 'not counted')}, is {after.get(name, 'not counted')}")
    return found or ["the order of its cells changed"]


def cell_code(source: str) -> str:
    """The syntax tree of a cell without comments and docstrings; a cell that is not Python is its text.

    A string that stands alone is shown, so it is no docstring here; a semicolon at the end hides what would be shown.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    return _dump(tree, whole=False) + (";" if ends_in_semicolon(source) else "")


def ends_in_semicolon(source: str) -> bool:
    """Whether the last thing in Python code, comments apart, is a semicolon."""
    if ";" not in source:
        return False
    passed = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in passed]
    return tokens[-1] == ";"


def module_code(file: Path) -> str:
    """The syntax tree of a module without comments and docstrings."""
    return _dump(ast.parse(read_text(file), filename=str(file)), whole=True)


def _dump(tree: ast.Module, *, whole: bool) -> str:
    """A syntax tree as text, without the docstrings of classes and functions, and of the module where it is whole."""
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, *([ast.Module] if whole else ()))
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return ast.dump(tree)


@functools.cache
def notebook_side() -> dict[str, str]:
    """The code of this package that runs inside a notebook, the style of figures, and the settings of execution."""
    folder = Path(settings.__file__).resolve().parent
    modules = {
        file.name: module_code(file)
        for file in filter(is_part_of_book, folder.glob("*.py"))
        if file.name not in NOT_RUN
    }
    styles = {file.name: read_text(file).splitlines() for file in filter(is_part_of_book, folder.glob("*.mplstyle"))}
    plain = {name: [line for line in lines if line and not line.startswith("#")] for name, lines in styles.items()}
    return modules | plain


@functools.cache
def named_by_the_book() -> dict:
    """The table [tool.press] of pyproject.toml: `sources`, the function that gives its library's hash; `packages`."""
    file = ROOT / "pyproject.toml"
    try:
        found = tomllib.loads(read_text(file)).get("tool", {}).get("press", {}) if file.exists() else {}
        lists = [found.get(name, []) for name in ("packages", "variables")]
        if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
            raise ValueError("packages and variables are lists of names")
    except (tomllib.TOMLDecodeError, AttributeError, ValueError) as error:
        raise ValueError(f"pyproject.toml: [tool.press]: {error}") from None
    return found


def library(chapter: Chapter) -> str | None:
    """The hash of the book's library; None for a chapter that does not import it."""
    named = named_by_the_book().get("sources")
    if not named:
        return None
    read = [*texts(chapter), *(read_text(ROOT / file) for file in beside(chapter))]
    if not any(imports(text, package_of(named)) for text in read):
        return None
    return resolve(named, "pyproject.toml: [tool.press] sources")()


def package_of(named: str) -> str:
    return named.partition(":")[0].partition(".")[0]


def texts(chapter: Chapter) -> list[str]:
    return [cell.source for cell in chapter.code]


def beside(chapter: Chapter) -> dict[str, str]:
    """The code of the modules in `lib` that the chapter imports, and of those that they import.

    Without this package and without the library, which have hashes of their own.
    """
    own = {"press", package_of(named_by_the_book().get("sources", ""))}
    known = {}
    for file in filter(is_part_of_book, (ROOT / "lib").rglob("*.py")):
        known.setdefault(file.relative_to(ROOT / "lib").parts[0].removesuffix(".py"), []).append(file)
    found, unread = {}, texts(chapter)
    while unread:
        text = unread.pop()
        for name in known.keys() - own:
            if imports(text, name):
                own.add(name)
                found |= {str(file.relative_to(ROOT)): module_code(file) for file in sorted(known[name])}
                unread += map(read_text, known[name])
    return found


def imports(source: str, package: str) -> bool:
    """Whether a cell imports the package; where that cannot be told, whether it names it."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return package in source
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return any(name.split(".")[0] == package for name in names)


def data(chapter: Chapter):
    """What the function returns that the front matter names as `data: package.module:function`; None without one.

    Such a function gives the checksums of the files that the chapter would read now.
    """
    named, place = chapter.front.get("data"), f"{chapter.place}: data"
    if not named:
        return None
    try:
        found = resolve(str(named), place)()
        json.dumps(found)
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"{place}: {named} gives no checksums: {type(error).__name__}: {error}") from None
    return found


def resolve(named: str, place: str):
    """The object that `package.module:name` names. A ValueError says where a name stands that is not found."""
    try:
        return pkgutil.resolve_name(named)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{place}: {named} is not found: {error}") from None


@functools.cache
def versions() -> dict[str, str]:
    """The versions that the outputs may depend on, the kind of machine among them."""
    names = [*named_by_the_book().get("packages", ()), *settings.PACKAGES]
    machine = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    return machine | {name: importlib.metadata.version(name) for name in names}

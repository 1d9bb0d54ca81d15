"""One screen that says what a bug report needs, and what looks wrong."""

import importlib.metadata
import locale
import os
import platform
import shutil
import sys
from pathlib import Path

from joblib import cpu_count
from packaging.requirements import Requirement
from platformdirs import user_cache_path
from rich.table import Table

from press import ROOT
from press.build.chapters import BUILD, find
from press.build.execute import CONSOLE
from press.build.faults import book_faults, folder_faults, site_faults
from press.build.staleness import data, reasons, versions

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def examine() -> None:
    """Print it; a SystemExit of 1 where something looks wrong."""
    wrong, table = [], Table(show_header=False, box=None)

    def tell(name: str, look) -> None:
        try:
            told = look()
        except (OSError, ValueError, ImportError, SystemExit) as error:
            wrong.append(str(error) or name)
            told = "not known: see below"
        table.add_row(name, str(told))

    tell("book", lambda: f"{ROOT}, {len(find())} chapters")
    tell("stale", lambda: ", ".join(chapter.name for chapter in find() if reasons(chapter)) or "nothing")
    tell("Python", lambda: f"{platform.python_version()}, {sys.executable}, which is the kernel's too")
    tell("machine", lambda: f"{platform.platform()}, {cpu_count()} cores")
    tell("versions", lambda: ", ".join(f"{name} {version}" for name, version in versions().items()))
    tell("folders", lambda: ", ".join(f"{rights(f)} {f}" for f in (ROOT, BUILD, BUILD / "executed", BUILD / "html")))
    tell("disk", lambda: f"{shutil.disk_usage(ROOT).free / 1e9:.1f} GB free")
    tell("caches", lambda: ", ".join(f"{rights(f)} {f}" for f in (Path.home(), user_cache_path())))
    tell("data", lambda: ", ".join(f"{c.name}: {told(data(c))}" for c in find() if c.front.get("data")) or "none named")
    tell("browser", lambda: next(filter(None, map(shutil.which, BROWSERS)), "none: tests of pages are skipped"))
    tell("locale", lambda: f"{locale.setlocale(locale.LC_CTYPE)}, files in {sys.getfilesystemencoding()}")
    names = [name for name in os.environ if name.startswith(("PYTHON", "JUPYTER", "IPYTHON", "MPL", "OMP_", "MKL_"))]
    tell("variables", lambda: " ".join(f"{name}={os.environ[name]}" for name in sorted(names)) or "none that count")
    for look in (folder_faults, book_faults, site_faults, unmet):
        try:
            wrong += look()
        except (OSError, ValueError) as error:
            wrong.append(str(error))
    CONSOLE.print(table, soft_wrap=True)
    CONSOLE.print("\n".join(["looks wrong:", *dict.fromkeys(wrong)]) if wrong else "nothing looks wrong", markup=False)
    if wrong:
        raise SystemExit(1)


def rights(folder: Path) -> str:
    """What this user may do in a folder, as `ls` writes it."""
    if not folder.exists():
        return "missing"
    return "".join(sign if os.access(folder, may) else "-" for sign, may in zip("rwx", (4, 2, 1), strict=True))


def told(found) -> str:
    """The checksums of data, shortly."""
    return f"{len(found)} files" if isinstance(found, dict | list | tuple) and found else str(found)


def unmet() -> list[str]:
    """Versions that are not those of constraints.txt."""
    file, found = ROOT / "constraints.txt", []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        if line.strip() and not line.startswith("#"):
            wanted = Requirement(line.partition("#")[0])
            try:
                here = importlib.metadata.version(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                continue
            if here not in wanted.specifier:
                found.append(f"{wanted.name} is {here}, and constraints.txt says {wanted.specifier}")
    return found

"""The four files of MNIST: where they lie, whether they are the published ones, and how to get them.

Without torch, so that a build can ask for the checksums in milliseconds. Only `fetch` uses the network. Run as a
command this module does what `make book` does first: it fetches MNIST once, where that can be done.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import queue
import stat
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

PUBLISHED = {  # name: bytes, SHA-256
    "train-images-idx3-ubyte.gz": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",  # the first that torchvision names
    "https://storage.googleapis.com/cvdf-datasets/mnist/",  # the one of TensorFlow Datasets
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
CONNECT = 5  # seconds until a mirror has answered, all of them together
TRANSFER = 600  # seconds until a file is there
CHUNK = 1 << 14  # bytes that are taken at once
AGAIN = 3600  # seconds until `make book` asks again where no mirror answered
UNANSWERED = ".unanswered"  # a file whose time says when that was
ENDED = "\nMNIST was not fetched: ended by Ctrl-C; the files that had come whole are kept"
COMMAND = "python -m bilinear.images fetch mnist"


def folder() -> Path:
    """Where the files belong: the folder that the variable MNIST_DIR names, else one in the user's cache.

    Raises ValueError for a relative path: a build and its notebooks have different working directories.
    """
    chosen = os.environ.get("MNIST_DIR")
    try:
        place = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("transformers-learn-teachers")
    except RuntimeError:
        raise ValueError(f"MNIST_DIR is {chosen}, and there is no such home") from None
    if not place.is_absolute():
        variable = "MNIST_DIR" if chosen else "HOME"
        raise ValueError(f"{variable} must be an absolute path, got {chosen or place}; here that is {place.absolute()}")
    return place if chosen else place / "mnist"


def checksums() -> dict[str, str]:
    """The SHA-256 of the four files; empty where MNIST is not at hand.

    It is not at hand where MNIST_DIR is not set and the cache has not all four: a download may have been broken off.
    Raises as `contents` where MNIST_DIR is set, and for a file that is not the published one.

    >>> len(checksums()) in (0, 4)
    True
    """
    found = _there()
    if os.environ.get("MNIST_DIR"):
        _refuse_missing(found)
    return {name: expected for name, (_, expected) in PUBLISHED.items()} if len(found) == len(PUBLISHED) else {}


def contents() -> dict[str, bytes]:
    """The four files by name, decompressed.

    Raises FileNotFoundError for files or a folder that are missing, with the command that fetches them; ValueError for
    what is not the published file, with its name, what was expected and what was found; OSError for one that cannot be
    read.
    """
    found = _there()
    _refuse_missing(found)
    return {name: gzip.decompress(content) for name, content in found.items()}  # none but the published are here


def fetch() -> Path:
    """Download what is missing or wrong from the first mirror that answers into `folder()`.

    A file gets its name only when it is complete and its checksum is right, and those that are right stay. Another
    mirror takes over from one that breaks off; where none is left, the next call takes up what came.
    Raises ConnectionError where no mirror answers in time or OFFLINE is set, and OSError where all break off or nothing
    can be written.
    """
    target, wanted = folder(), []
    for name in PUBLISHED:
        try:
            wanted += [name] if _read(target / name) is None else []
        except (OSError, ValueError):
            wanted.append(name)
    if not wanted:
        return target
    if _offline():
        raise ConnectionError("OFFLINE is set")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{target} cannot be made: {error.strerror}") from None
    if not os.access(target, os.W_OK | os.X_OK):
        raise PermissionError(f"{target} cannot be written to")
    mirrors = _answering()
    mirror = next(mirrors)
    size = sum(PUBLISHED[name][0] for name in wanted) / 1e6
    print(f"fetching MNIST, {size:.1f} MB, from {_host(mirror)} into {target}", file=sys.stderr)
    for name in wanted:
        part, sink, whole = target / f".{name}.part", _Sink(name, sys.stderr.isatty()), False
        with contextlib.suppress(OSError), part.open("rb") as stream:  # there may be none
            sink.write(stream.read(PUBLISHED[name][0] - 1))
        try:
            while not whole:
                try:
                    _download(mirror, sink)
                    whole = True
                except (OSError, ValueError) as error:
                    broken = f"{name} from {_host(mirror)}: {_short(error)}"
                    if (mirror := next(mirrors, None)) is None:
                        raise OSError(f"{broken}; no other mirror answers") from None
        finally:  # after Ctrl-C too
            _write(part, sink.getvalue()) if sink.tell() and not whole else part.unlink(missing_ok=True)
        _write(target / name, sink.getvalue())
    return target


def _offline() -> bool:
    return os.environ.get("OFFLINE", "") not in ("", "0")


def _host(mirror: str) -> str:
    return urlsplit(mirror).netloc


def _short(error: Exception) -> str:
    """An error of a download in a few words: the messages of failed connections fill a screen."""
    answered = getattr(error, "response", None)
    if answered is not None:
        return f"status {answered.status_code}"
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _there() -> dict[str, bytes]:
    """The files that are there, as they are; each is the published one, or refused."""
    place = folder()
    if os.environ.get("MNIST_DIR") and not place.is_dir():
        raise FileNotFoundError(f"MNIST_DIR is {place}, and there is no such folder; fill it with: {COMMAND}")
    found = {name: _read(place / name) for name in PUBLISHED}
    return {name: content for name, content in found.items() if content is not None}


def _refuse_missing(found: dict[str, bytes]) -> None:
    if missing := [name for name in PUBLISHED if name not in found]:
        raise FileNotFoundError(f"MNIST in {folder()} lacks {', '.join(missing)}; get it with: {COMMAND}")


def _read(file: Path) -> bytes | None:
    """The bytes of a published file; None where there is none. No more is read than the file may have."""
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            raise ValueError(f"{file} is not a file, but {'a folder' if file.is_dir() else 'a pipe or device'}")
        with file.open("rb") as stream:
            content = stream.read(PUBLISHED[file.name][0] + 1)
    except (FileNotFoundError, NotADirectoryError):
        if file.is_symlink():
            raise ValueError(f"{file} is a link that leads nowhere: {file.readlink()}") from None
        return None
    except OSError as error:
        raise OSError(f"{file} cannot be read: {error.strerror}") from None
    if fault := _fault(file.name, content):
        raise ValueError(f"{file} is not MNIST's: {fault}; get it again with: {COMMAND}")
    return content


def _fault(name: str, content: bytes) -> str | None:
    """What is expected and what was found, where these bytes are not those of the published file."""
    size, expected = PUBLISHED[name]
    found = hashlib.sha256(content).hexdigest()
    if found == expected:
        return None
    told = f"{len(content):,} bytes of SHA-256 {found}" if len(content) <= size else f"more than {size:,} bytes"
    others = {checksum: f", which is {other}" for other, (_, checksum) in PUBLISHED.items()}
    kind = ", a web page" if content[:200].lstrip().startswith(b"<") else others.get(found, "")
    return f"expected {size:,} bytes of SHA-256 {expected}, found {told}{kind}"


def _write(file: Path, content: bytes) -> None:
    """Put a file in its place whole: its name stands for the old bytes or for the new ones."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        os.replace(partial, file)
    except OSError as error:
        raise OSError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


class _Sink(io.BytesIO):
    """Takes what a mirror sends: no more than the file has, nor for longer than a file may take."""

    def __init__(self, name: str, show: bool):
        super().__init__()
        self.name, self.show, self.end = name, show, time.monotonic() + TRANSFER

    def write(self, chunk: bytes) -> int:
        size, _ = PUBLISHED[self.name]
        if self.tell() + len(chunk) > size:
            raise ValueError(f"more than the {size:,} bytes of the file")
        if time.monotonic() > self.end:
            raise TimeoutError
        written = super().write(chunk)
        if self.show:
            told = f"\r{self.name}: {self.tell() / 1e6:.1f} of {size / 1e6:.1f} MB"
            print(told, end="\n" if self.tell() == size else "", file=sys.stderr, flush=True)
        return written


def _download(mirror: str, sink: _Sink) -> None:
    """Take what the sink lacks of its file. An OSError: broken off, the sink keeps what came; a ValueError: wrong."""
    from pooch import HTTPDownloader  # its import takes longer than all checksums

    begun, headers = sink.tell(), {"Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    try:
        HTTPDownloader(timeout=(CONNECT, 10), headers=headers, chunk_size=CHUNK)(mirror + sink.name, sink, None)
        if fault := _fault(sink.name, sink.getvalue()):
            raise ValueError(fault)
    except ValueError:
        sink.seek(0)
        sink.truncate()
        if not begun:
            raise
        _download(mirror, sink)  # the mirror sends the whole, or what had come was not the file's


def _answering():
    """The mirrors, as they give the smallest file and it is right. All are asked at once.

    A ConnectionError says what came of them where none does within `CONNECT` seconds.
    """
    import pooch  # noqa: F401  its import is not the mirrors' time

    answers, smallest = queue.SimpleQueue(), min(PUBLISHED, key=PUBLISHED.get)

    def ask(mirror: str) -> None:
        try:
            _download(mirror, _Sink(smallest, show=False))
            answers.put((mirror, ""))
        except Exception as error:  # told by the one who waits
            answers.put((mirror, _short(error)))

    for mirror in MIRRORS:
        threading.Thread(target=ask, args=[mirror], daemon=True).start()  # a search for a name cannot be cut short
    end, told, good = time.monotonic() + CONNECT, dict.fromkeys(MIRRORS, "no answer"), False
    for _ in MIRRORS:
        try:
            mirror, fault = answers.get(timeout=max(end - time.monotonic(), 0))
        except queue.Empty:
            break
        told[mirror] = fault
        if not fault:
            good = True
            yield mirror
    if not good:
        each = [f"{_host(mirror)}: {fault}" for mirror, fault in told.items()]
        what = "; ".join(each if len(set(told.values())) > 1 else set(told.values()))
        raise ConnectionError(f"no mirror gives it within {CONNECT} s: {what}")


def _by_default() -> None:
    """Before a build: MNIST is fetched once, unless MNIST_DIR names a folder, which is judged instead.

    Where it cannot be had, one line says so. A SystemExit refuses what is wrong and stays so.
    """
    wrong = None
    try:
        if checksums():
            return
    except (OSError, ValueError) as error:
        if os.environ.get("MNIST_DIR"):
            sys.exit(f"MNIST: {error}")
        wrong = error
    try:
        unanswered = folder() / UNANSWERED
        if _offline():
            reason = "OFFLINE is set"
        elif unanswered.is_file() and abs(time.time() - unanswered.stat().st_mtime) < AGAIN:
            reason = f"no mirror answered within the last {AGAIN // 60} minutes"
        else:
            fetch()
            unanswered.unlink(missing_ok=True)
            reason = None
    except KeyboardInterrupt:
        sys.exit(ENDED)
    except ConnectionError as error:
        unanswered.touch()
        reason = error
    except (OSError, ValueError) as error:
        reason = error
    if reason and wrong:
        sys.exit(f"MNIST: {wrong}; or delete it: the bundled digits then take its place")
    if reason:
        print(f"MNIST was not fetched ({reason}); the bundled digits take its place. To try again: {COMMAND}")


if __name__ == "__main__":
    _by_default()

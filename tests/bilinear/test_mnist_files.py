"""The files of MNIST: found, refused by name where they are not the published ones, downloaded from what answers."""

import contextlib
import gzip
import hashlib
import http.server
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import torch

import bilinear
from bilinear import images, mnist_files

PROJECT = Path(bilinear.__file__).parents[2]
DRAWN = torch.Generator().manual_seed(0)
IMAGES = torch.randint(256, (5, 28, 28), generator=DRAWN, dtype=torch.uint8)  # 3 to train, 2 to test
LABELS = torch.tensor([4, 0, 9, 7, 1], dtype=torch.uint8)


def idx(array, magic: int = 8) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, magic, array.ndim]) + sizes + bytes(array.flatten().tolist()), mtime=0)


SMALL = {
    "train-images-idx3-ubyte.gz": idx(IMAGES[:3]),
    "train-labels-idx1-ubyte.gz": idx(LABELS[:3]),
    "t10k-images-idx3-ubyte.gz": idx(IMAGES[3:]),
    "t10k-labels-idx1-ubyte.gz": idx(LABELS[3:]),
}
PUBLISHED = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in SMALL.items()}
SUMS = {name: checksum for name, (_, checksum) in PUBLISHED.items()}
SMALLEST = min(PUBLISHED, key=PUBLISHED.get)
BIG = "train-images-idx3-ubyte.gz"


def fill(folder) -> None:
    for name, content in SMALL.items():
        (folder / name).write_bytes(content)


def lies(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for five images that take MNIST's place: the cache's, MNIST_DIR is not set."""
    monkeypatch.setattr(mnist_files, "PUBLISHED", PUBLISHED)
    monkeypatch.setattr(mnist_files.platformdirs, "user_cache_path", lambda _: tmp_path)
    for variable in ("MNIST_DIR", "OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "mnist").mkdir()
    return tmp_path / "mnist"


@pytest.fixture
def small(place, monkeypatch):
    """That folder as MNIST_DIR, and no network."""

    def refuse(*_):
        raise AssertionError("the network is used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("MNIST_DIR", str(place))
    return place


def uses():
    """Whatever reads the files: a build's key, a chapter, a reader."""
    return mnist_files.checksums, images.at_hand, lambda: images.mnist(27)


# --- what lies there -------------------------------------------------------------------------------------


def test_mnist_is_read_in_order_and_prepared_as_the_digits_are(small):
    fill(small)
    assert images.at_hand() == "mnist"
    assert mnist_files.checksums() == SUMS
    pictures, labels = images.mnist(28)
    assert torch.equal(labels, LABELS.long())
    raw = IMAGES.double()
    torch.testing.assert_close(pictures, (raw - raw.mean()) / raw.std(), rtol=1e-12, atol=1e-12)
    assert images.mnist(27)[0].shape == (5, 27, 27)
    with pytest.raises(ValueError, match="size must be at least 14, got 13"):
        images.mnist(13)


def another(name):
    """A published file of another name, which takes this one's place."""
    return SMALL[next(other for other in SMALL if other != name and len(SMALL[other]) <= len(SMALL[name]))]


DAMAGES = {
    "cut": lambda name: SMALL[name][:-9],
    "longer": lambda name: SMALL[name] + b"\0",
    "a bit turned at the end": lambda name: SMALL[name][:-1] + bytes([SMALL[name][-1] ^ 1]),
    "a bit turned inside": lambda name: SMALL[name][:12] + bytes([SMALL[name][12] ^ 1]) + SMALL[name][13:],
    "empty": lambda name: b"",
    "a web page": lambda name: b"<html>no</html>",
    "another magic": lambda name: idx(LABELS[:1], magic=13),
    "a bomb": lambda name: gzip.compress(bytes(20_000_000)),
    "not compressed": lambda name: gzip.decompress(SMALL[name]),
}


@pytest.mark.parametrize("name", [SMALLEST, BIG])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_wrong_file_is_refused_by_name_with_what_was_expected_and_found(small, monkeypatch, name, damage):
    fill(small)
    wrong = DAMAGES[damage](name)
    (small / name).write_bytes(wrong)
    monkeypatch.setattr(gzip, "decompress", lambda _: pytest.fail("it is opened"))
    size, checksum = PUBLISHED[name]
    found = [f"found {len(wrong):,} bytes", hashlib.sha256(wrong).hexdigest()]
    found = found if len(wrong) <= size else [f"found more than {size:,} bytes"]
    for use in uses():
        with pytest.raises(ValueError, match="is not MNIST's") as refused:
            use()
        for told in (str(small / name), f"expected {size:,} bytes", checksum, *found, mnist_files.COMMAND):
            assert told in str(refused.value)
        assert (", a web page" in str(refused.value)) == (damage == "a web page")


def test_files_that_changed_places_are_told(small):
    fill(small)
    (small / "train-labels-idx1-ubyte.gz").write_bytes(SMALL[SMALLEST])
    with pytest.raises(ValueError, match=f"train-labels.*found .*, which is {SMALLEST}"):
        mnist_files.checksums()


def test_no_more_is_read_than_a_file_may_have(small):
    fill(small)
    with (small / BIG).open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
    with pytest.raises(ValueError, match=f"{BIG} is not MNIST's: .* found more than"):
        mnist_files.checksums()


OTHERS = {
    "a folder": (lambda file: file.mkdir(), "is not a file, but a folder"),
    "a link to a folder": (lambda file: file.symlink_to(file.parent), "is not a file, but a folder"),
    "a link that leads nowhere": (
        lambda file: file.symlink_to("/nowhere/m"),
        "is a link that leads nowhere: /nowhere/m",
    ),
    "a link to itself": (lambda file: file.symlink_to(file), "cannot be read: Too many levels"),
    "a pipe": (os.mkfifo, "is not a file, but a pipe or device"),
    "a device": (lambda file: file.symlink_to("/dev/zero"), "is not a file, but a pipe or device"),
}


@pytest.mark.parametrize("how", OTHERS)
@pytest.mark.parametrize("variable", [True, False], ids=["MNIST_DIR", "the cache"])
def test_what_is_no_file_is_refused_by_name(small, monkeypatch, how, variable):
    if not variable:
        monkeypatch.delenv("MNIST_DIR")
    fill(small)
    (small / BIG).unlink()
    make, told = OTHERS[how]
    make(small / BIG)
    for use in uses():
        with pytest.raises((ValueError, OSError), match=f"{small / BIG} {told}"):
            use()


def test_a_link_to_the_file_is_as_good(small):
    fill(small)
    (small / BIG).rename(small / "elsewhere")
    (small / BIG).symlink_to("elsewhere")
    assert images.at_hand() == "mnist"


@contextlib.contextmanager
def nobody():
    """Without the rights of root, which may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", [BIG, "."])
def test_what_may_not_be_read_is_refused_by_name(small, monkeypatch, what):
    with tempfile.TemporaryDirectory() as room:  # nobody may go to pytest's own
        os.chmod(room, 0o755)
        folder = Path(shutil.copytree(small, Path(room, "mnist")))
        fill(folder)
        monkeypatch.setenv("MNIST_DIR", str(folder))
        (folder / what).chmod(0)
        with nobody(), pytest.raises(OSError, match=f"{folder}/{BIG} cannot be read: Permission denied"):
            mnist_files.checksums()
        (folder / what).chmod(0o700)


@pytest.mark.parametrize("there", [0, 1, 3])
def test_missing_files_are_named_with_the_command_and_never_fetched(small, there):
    fill(small)
    missing = list(SMALL)[there:]
    for name in missing:
        (small / name).unlink()
    for use in uses():  # MNIST_DIR asks for them: no silent way back to `digits`
        with pytest.raises(FileNotFoundError) as refused:
            use()
        assert all(name in str(refused.value) for name in [*missing, str(small), mnist_files.COMMAND])
    assert sorted(file.name for file in small.iterdir()) == sorted(list(SMALL)[:there])


def test_in_the_cache_a_set_that_is_not_whole_is_not_at_hand(small, monkeypatch):
    """What a download left that was broken off, or is under way."""
    monkeypatch.delenv("MNIST_DIR")
    assert (mnist_files.checksums(), images.at_hand()) == ({}, "digits")
    fill(small)
    assert images.at_hand() == "mnist"
    (small / SMALLEST).unlink()
    assert (mnist_files.checksums(), images.at_hand()) == ({}, "digits")
    with pytest.raises(FileNotFoundError, match=SMALLEST):
        images.mnist(27)
    (small / BIG).write_bytes(b"wrong")
    with pytest.raises(ValueError, match=f"{BIG} is not MNIST's"):
        images.at_hand()


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("data/mnist", "MNIST_DIR must be an absolute path, got data/mnist; here that is {here}/data/mnist"),
        (".", "MNIST_DIR must be an absolute path, got .; here that is {here}"),
        ("~nobody1/m", "MNIST_DIR is ~nobody1/m, and there is no such home"),
        ("/typo", "MNIST_DIR is /typo, and there is no such folder; fill it with"),
        ("{small}/" + BIG, "MNIST_DIR is {small}/" + BIG + ", and there is no such folder"),
    ],
)
def test_a_folder_that_is_mistyped_or_relative_is_refused_by_name(small, monkeypatch, chosen, told):
    """Relative to what? A build and its notebooks have different working directories."""
    fill(small)
    monkeypatch.chdir(small)
    (small / "data").mkdir()
    (small / "data/mnist").symlink_to(small)
    monkeypatch.setenv("MNIST_DIR", chosen.format(small=small))
    for use in uses():
        with pytest.raises((ValueError, FileNotFoundError)) as refused:
            use()
        assert told.format(here=small, small=small) in str(refused.value)


def test_a_home_is_written_out(small, monkeypatch):
    fill(small)
    monkeypatch.setenv("HOME", str(small.parent))
    monkeypatch.setenv("MNIST_DIR", "~/mnist")
    assert mnist_files.folder() == small
    assert images.at_hand() == "mnist"


def test_without_a_home_digits_are_at_hand(place, monkeypatch):
    monkeypatch.setattr(mnist_files.platformdirs, "user_cache_path", lambda _: Path("/dev/null/.cache"))
    assert images.at_hand() == "digits"


# --- what is downloaded ----------------------------------------------------------------------------------


class Mirrors(http.server.ThreadingHTTPServer):
    """Plays two mirrors, `first` and `second`: what each offers by name; the second answers a little later."""

    daemon_threads, block_on_close = True, False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.offered = {mirror: dict(SMALL) for mirror in ("first", "second")}
        self.asked, self.ended, self.slow = [], threading.Event(), 0.0
        self.late, self.begun, self.ranges = (
            0.2,
            [],
            True,
        )  # the first byte of each answer; whether it may be another than 0

    def handle_error(self, *_):
        """A client that hangs up is part of the play."""

    def urls(self) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{self.server_port}/{mirror}/" for mirror in self.offered)

    def got(self) -> list[str]:
        """What was asked for, apart from the file by which a mirror is tried."""
        return [path for path in self.asked if not path.endswith(SMALLEST)]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path[1:])
        _, mirror, name = self.path.split("/")
        offered = self.server.offered[mirror].get(name)
        if mirror == "second":
            time.sleep(self.server.late)
        if offered is None:
            return self.send_error(404)
        if offered == "silence":
            return self.server.ended.wait()
        content, length = offered if isinstance(offered, tuple) else (offered, len(offered))
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.server.ranges else 0
        self.server.begun.append(begin)
        content, length = content[begin:], max(length - begin, 0)
        self.send_response(206 if begin else 200)
        if length:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        for at in range(0, len(content), 500):
            self.wfile.write(content[at : at + 500])
            self.wfile.flush()
            time.sleep(self.server.slow)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def mirrors(place, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirrors() as server:
        monkeypatch.setattr(mnist_files, "MIRRORS", server.urls())
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield server
        server.ended.set()
        server.shutdown()


def test_fetch_gets_what_is_missing_or_wrong_and_nothing_else(place, mirrors, capsys):
    assert mnist_files.fetch() == place
    assert lies(place) == SMALL
    assert sorted(mirrors.got()) == sorted(f"first/{name}" for name in SMALL if name != SMALLEST)
    size = sum(map(len, SMALL.values())) / 1e6
    said = f"fetching MNIST, {size:.1f} MB, from 127.0.0.1:{mirrors.server_port} into {place}\n"
    assert capsys.readouterr().err == said
    (place / BIG).write_bytes(b"wrong")
    (place / "t10k-images-idx3-ubyte.gz").unlink()
    mirrors.asked.clear()
    mnist_files.fetch()
    assert lies(place) == SMALL
    assert mirrors.got() == [f"first/{BIG}", "first/t10k-images-idx3-ubyte.gz"]
    mirrors.asked.clear()
    mnist_files.fetch()
    assert mirrors.asked == []


FAULTS = {
    "not there": None,
    "another content": b"another",
    "a web page": b"<!doctype html><title>Sign in</title>",
    "cut on the way": (SMALL[BIG][:1000], len(SMALL[BIG])),
    "cut, and no length said": (SMALL[BIG][:1000], 0),
    "one byte another": SMALL[BIG][:99] + b"?" + SMALL[BIG][100:],
    "more than it has": (SMALL[BIG] * 50, 0),
}


@pytest.mark.parametrize("how", FAULTS)
def test_another_mirror_takes_over(place, mirrors, how):
    mirrors.offered["first"][BIG] = FAULTS[how]
    mnist_files.fetch()
    assert lies(place) == SMALL
    assert f"second/{BIG}" in mirrors.got()


@pytest.mark.parametrize("how", FAULTS)
def test_a_download_that_breaks_off_leaves_no_file_under_its_name_and_is_taken_up(place, mirrors, how):
    name = list(SMALL)[2]
    for offered in mirrors.offered.values():
        offered[name] = FAULTS[how] if how != "more than it has" else (SMALL[name] * 50, 0)
    with pytest.raises(OSError, match=f"{name} from 127.0.0.1:.*; no other mirror answers"):
        mnist_files.fetch()
    assert lies(place) == {known: SMALL[known] for known in list(SMALL)[:2]}  # those before it, and nothing else
    mirrors.offered["first"][name] = SMALL[name]
    mirrors.asked.clear()
    mnist_files.fetch()
    assert lies(place) == SMALL
    assert mirrors.got() == [f"first/{name}"]


def broken_off(place, mirrors, monkeypatch, at=1000):
    """A download of which some bytes came."""
    monkeypatch.setattr(mnist_files, "CHUNK", 100)
    for offered in mirrors.offered.values():
        offered[BIG] = (SMALL[BIG][:at], len(SMALL[BIG]))
    with pytest.raises(OSError, match="no other mirror answers"):
        mnist_files.fetch()
    mirrors.offered["first"][BIG] = SMALL[BIG]
    mirrors.asked.clear()
    mirrors.begun.clear()
    return place / f".{BIG}.part"


def test_what_came_of_a_broken_download_is_not_asked_for_again(place, mirrors, monkeypatch):
    part = broken_off(place, mirrors, monkeypatch)
    assert lies(place) == {part.name: SMALL[BIG][:1000]}
    assert images.at_hand() == "digits"
    mnist_files.fetch()
    assert lies(place) == SMALL
    assert mirrors.got()[0] == f"first/{BIG}"
    assert sorted(mirrors.begun) == [0] * 4 + [1000]


@pytest.mark.parametrize("how", ["the server sends all", "other bytes", "more bytes", "none"])
def test_a_part_that_cannot_be_taken_up_is_begun_again(place, mirrors, monkeypatch, how):
    part = broken_off(place, mirrors, monkeypatch)
    mirrors.ranges = how != "the server sends all"
    change = {"other bytes": b"?" * 1000, "more bytes": SMALL[BIG] + b"more", "none": b""}
    part.write_bytes(change.get(how, part.read_bytes()))
    mnist_files.fetch()
    assert lies(place) == SMALL


def test_a_web_page_that_broke_off_is_not_taken_up(place, mirrors, monkeypatch):
    part = broken_off(place, mirrors, monkeypatch)
    for offered in mirrors.offered.values():
        offered[BIG] = b"<html>" * 50
    with pytest.raises(OSError, match="a web page; no other mirror answers"):
        mnist_files.fetch()
    assert not part.exists()


def test_all_mirrors_together_have_five_seconds(place, mirrors, monkeypatch):
    assert mnist_files.CONNECT == 5
    monkeypatch.setattr(mnist_files, "CONNECT", 2)
    monkeypatch.setattr(mnist_files, "MIRRORS", mirrors.urls() * 3)
    mirrors.offered["first"][SMALLEST] = "silence"
    mirrors.offered["second"][SMALLEST], mirrors.late = None, 1.7
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no mirror gives it within 2 s: .*no answer"):
        mnist_files.fetch()
    assert time.monotonic() - began < 3.3
    assert mirrors.got() == []


def test_one_that_is_silent_does_not_hold_up_one_that_answers(place, mirrors):
    mirrors.offered["first"] = dict.fromkeys(SMALL, "silence")
    began = time.monotonic()
    mnist_files.fetch()
    assert time.monotonic() - began < 4
    assert lies(place) == SMALL


def test_what_came_of_each_mirror_is_told_where_it_differs(place, mirrors):
    mirrors.offered["first"].clear()
    mirrors.offered["second"][SMALLEST] = b"more" * 100
    host = f"127.0.0.1:{mirrors.server_port}"
    size = len(SMALL[SMALLEST])
    with pytest.raises(ConnectionError) as failed:
        mnist_files.fetch()
    told = f"{host}: status 404; {host}: more than the {size} bytes of the file"
    assert str(failed.value) == f"no mirror gives it within 5 s: {told}"


def test_a_net_that_answers_everything_with_its_own_page_is_no_mirror(place, mirrors):
    page = b"<html>Please sign in</html>"
    for offered in mirrors.offered.values():
        offered.update(dict.fromkeys(SMALL, page))
    with pytest.raises(ConnectionError, match=r"found 27 bytes of SHA-256 .*, a web page"):
        mnist_files.fetch()
    assert lies(place) == {}


def test_a_download_does_not_last_for_ever(place, mirrors, monkeypatch):
    mirrors.offered.pop("second")
    monkeypatch.setattr(mnist_files, "MIRRORS", mirrors.urls())
    monkeypatch.setattr(mnist_files, "TRANSFER", 0.3)
    monkeypatch.setattr(mnist_files, "_answering", lambda: iter(mirrors.urls()))
    mirrors.slow = 0.2
    with pytest.raises(OSError, match="TimeoutError"):
        mnist_files.fetch()


def test_progress_is_shown_on_a_terminal(place, mirrors, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    mnist_files.fetch()
    assert f"\r{BIG}: 0.0 of 0.0 MB\n" in capsys.readouterr().err  # these are small


def process(place, mirrors, act="fetch"):
    """A process of its own that fetches."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from pathlib import Path; from bilinear import mnist_files as m\n"
    code += f"m.PUBLISHED, m.MIRRORS, m.folder = {PUBLISHED}, {mirrors.urls()}, lambda: Path({str(place)!r})\nm.{act}()"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_two_at_once_do_no_harm(place, mirrors):
    mirrors.slow = 0.1
    both = [process(place, mirrors), process(place, mirrors)]
    told = [one.communicate(timeout=60)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert lies(place) == SMALL
    assert len(mirrors.got()) == 6, "both were at it"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_on_the_way_leaves_no_file_that_looks_whole(place, mirrors, monkeypatch, how):
    monkeypatch.delenv("MNIST_DIR", raising=False)
    mirrors.slow = 0.2
    one = process(place, mirrors, act="_by_default")
    deadline = time.monotonic() + 30
    while not mirrors.got() and time.monotonic() < deadline:
        time.sleep(0.02)
    one.send_signal(how)
    _, told = one.communicate()
    assert len(told.splitlines()) == (1 if how == signal.SIGKILL else 3), told
    assert (mnist_files.ENDED in told) == (how == signal.SIGINT)
    assert mirrors.got() == [f"first/{BIG}"]
    assert not (place / BIG).exists()
    mirrors.slow = 0
    mnist_files.fetch()
    assert lies(place) == SMALL


def test_a_write_that_fails_leaves_the_old_file(place, mirrors, monkeypatch):
    (place / BIG).write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=f"{place / BIG} cannot be written: No space left"):
        mnist_files.fetch()
    assert lies(place) == {BIG: b"old"}


def test_a_folder_in_place_of_a_file_is_not_written_over(place, mirrors):
    (place / BIG).mkdir()
    with pytest.raises(OSError, match=f"{place / BIG} cannot be written: Is a directory"):
        mnist_files.fetch()
    assert [file.name for file in place.iterdir()] == [BIG]


def test_a_link_is_replaced_and_what_it_leads_to_stays(place, mirrors):
    (place.parent / "mine").write_bytes(b"mine")
    (place / BIG).symlink_to("../mine")
    mnist_files.fetch()
    assert lies(place) == SMALL
    assert (place.parent / "mine").read_bytes() == b"mine"


# --- what make book does ---------------------------------------------------------------------------------


@pytest.fixture
def by_default(capsys):
    """The lines that it says, and on stderr, which only a download uses."""

    def run() -> list[str]:
        mnist_files._by_default()
        told = capsys.readouterr()
        return [line for line in (told.out + told.err).splitlines() if line]

    return run


def test_by_default_mnist_is_fetched_once_and_said_in_one_line(place, mirrors, by_default):
    assert [line[:15] for line in by_default()] == ["fetching MNIST,"]
    assert images.at_hand() == "mnist"
    mirrors.asked.clear()
    assert by_default() == []
    assert mirrors.asked == []


@pytest.mark.parametrize("offline", ["1", "yes"])
def test_offline_never_tries(place, mirrors, by_default, monkeypatch, offline):
    monkeypatch.setenv("OFFLINE", offline)
    line = "MNIST was not fetched (OFFLINE is set); the bundled digits take its place. To try again: "
    assert by_default() == [line + mnist_files.COMMAND]
    with pytest.raises(ConnectionError, match="OFFLINE is set"):
        mnist_files.fetch()
    assert mirrors.asked == []
    monkeypatch.setenv("OFFLINE", "0")
    by_default()
    assert images.at_hand() == "mnist"


def test_where_no_mirror_answers_one_line_says_so_and_an_hour_passes(place, mirrors, by_default):
    for offered in mirrors.offered.values():
        offered.clear()
    (first,) = by_default()
    why = "MNIST was not fetched (no mirror gives it within 5 s: status 404)"
    assert first == f"{why}; the bundled digits take its place. To try again: {mnist_files.COMMAND}"
    assert images.at_hand() == "digits"
    mirrors.asked.clear()
    assert [line[:69] for line in by_default()] == [
        "MNIST was not fetched (no mirror answered within the last 60 minutes);"[:69]
    ]
    assert mirrors.asked == []
    mirrors.offered["first"] = dict(SMALL)
    then = time.time() - 3601
    os.utime(place / mnist_files.UNANSWERED, (then, then))
    by_default()
    assert lies(place) == SMALL, "and the mark is gone"


def test_a_mark_of_another_clock_does_not_count(place, mirrors, by_default):
    (place / mnist_files.UNANSWERED).touch()
    then = time.time() + 36_000
    os.utime(place / mnist_files.UNANSWERED, (then, then))
    by_default()
    assert lies(place) == SMALL


def test_a_download_that_broke_off_is_taken_up_by_the_next_build(place, mirrors, by_default):
    for offered in mirrors.offered.values():
        offered[BIG] = (SMALL[BIG][:1000], len(SMALL[BIG]))
    assert [line[:21] for line in by_default()] == ["MNIST was not fetched", "fetching MNIST, 0.0 M"]
    assert images.at_hand() == "digits"
    mirrors.offered["first"][BIG] = SMALL[BIG]
    by_default()
    assert images.at_hand() == "mnist"


@pytest.mark.parametrize("how", ["missing", "wrong"])
def test_the_folder_of_mnist_dir_is_judged_and_never_filled_unasked(place, mirrors, by_default, monkeypatch, how):
    monkeypatch.setenv("MNIST_DIR", str(place))
    fill(place)
    assert by_default() == []
    (place / BIG).unlink() if how == "missing" else (place / BIG).write_bytes(b"wrong")
    with pytest.raises(SystemExit, match=BIG):
        by_default()
    assert mirrors.asked == []


def test_a_wrong_file_of_the_cache_is_mended_or_refused(place, mirrors, by_default, monkeypatch):
    fill(place)
    (place / BIG).write_bytes(b"wrong")
    monkeypatch.setenv("OFFLINE", "1")
    with pytest.raises(SystemExit, match=f"{place / BIG} is not MNIST's: .*; or delete it"):
        by_default()
    monkeypatch.delenv("OFFLINE")
    by_default()
    assert lies(place) == SMALL


def test_a_cache_that_cannot_be_written_is_one_line_and_asks_no_mirror(place, mirrors, by_default, monkeypatch):
    monkeypatch.setattr(mnist_files.platformdirs, "user_cache_path", lambda _: Path("/dev/null/.cache"))
    assert [line[:35] for line in by_default()] == ["MNIST was not fetched (/dev/null/.c"]
    monkeypatch.setattr(mnist_files.platformdirs, "user_cache_path", lambda _: place.parent)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert [line[:99] for line in by_default()] == [f"MNIST was not fetched ({place} cannot be written to); "[:99]]
    assert mirrors.asked == []


def test_make_book_fetches_first_and_make_test_never(small):
    steps = {}
    for target in ("book", "test"):
        told = subprocess.run(["make", "-n", target], capture_output=True, text=True, cwd=PROJECT)
        steps[target] = told.stdout
    assert steps["book"].index("-m bilinear.mnist_files") < steps["book"].index("-m press build")
    assert "-m press build" in steps["test"]
    assert "mnist" not in steps["test"]


def test_what_is_published_is_made_from_mnist_or_nothing_is():
    """The command ends with an error where MNIST cannot be had, and its job with it; `make book` would go on."""
    job = (PROJECT / ".github/workflows/book.yml").read_text().partition("\n  edition:")[0]
    assert job.index(mnist_files.COMMAND) < job.index("make test") < job.index("upload-artifact")


@pytest.mark.parametrize(("chosen", "status"), [("/typo", 1), ("", 0)])
def test_the_module_is_the_command(place, chosen, status):
    variables = os.environ | {"MNIST_DIR": chosen, "OFFLINE": "1", "XDG_CACHE_HOME": str(place)}
    told = subprocess.run([sys.executable, "-m", "bilinear.mnist_files"], capture_output=True, text=True, env=variables)
    assert told.returncode == status
    assert told.stderr == (
        f"MNIST: MNIST_DIR is /typo, and there is no such folder; fill it with: {mnist_files.COMMAND}\n"
        if status
        else ""
    )
    assert told.stdout.startswith("MNIST was not fetched (OFFLINE is set)") is not bool(status)


def test_the_command_fetches_and_says_where_or_why_not(place, mirrors, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", str(place))
    start = (
        f"import runpy; from bilinear import mnist_files as m; m.PUBLISHED, m.MIRRORS = {PUBLISHED}, {mirrors.urls()}"
    )
    start += "; runpy.run_module('bilinear.images', run_name='__main__')"

    def command(*arguments):
        line = [sys.executable, "-W", "error::RuntimeWarning", "-c", start, *arguments]
        told = subprocess.run(line, capture_output=True, text=True, timeout=100)
        assert "Traceback" not in told.stderr
        return told

    assert command("fetch", "mnist").stdout == f"MNIST is in {place}\n"
    assert images.at_hand() == "mnist"
    (place / BIG).unlink()
    for offered in mirrors.offered.values():
        del offered[BIG]
    failed = command("fetch", "mnist")
    assert failed.returncode == 1
    assert f"MNIST was not fetched: {BIG} from 127.0.0.1:{mirrors.server_port}: status 404" in failed.stderr
    assert command("fetch").stderr == f"usage: {mnist_files.COMMAND}\n"


@pytest.mark.skipif(not os.environ.get("MNIST_DIR"), reason="MNIST itself is not at hand: set MNIST_DIR to its folder")
def test_the_real_mnist():
    pictures, labels = images.mnist(28)
    assert images.at_hand() == "mnist"
    assert pictures.shape == (70_000, 28, 28)
    # Digits of each kind among the 60 000 for training, as published.
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert labels[:60_000].bincount().tolist() == counts
    # Before standardising, the background is 0 and ink 255: they end (255 / deviation) apart, and the deviation over
    # all 70 000 images is 0.3081 of 255 (78.58), the constant that tutorials use.
    assert (pictures.max() - pictures.min()).item() == pytest.approx(1 / 0.3081, rel=2e-3)

"""The bench as a reader uses it: what it predicts, what it says, how it is moved, and what it refuses."""

import contextlib
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from bilinear import floors, laws
from bilinear.activations import Activation
from bilinear.scalar_dynamics import ScalarDynamics
from bilinear.teachers import Teacher
from press import ROOT

SITE = ROOT / "_build" / "html" / "book"
FILE = SITE / "bench.html"
TRIES = re.findall(
    r'(?m)^ +name: "([^"]+)"', (ROOT / "book" / "assets" / "bench" / "words.js").read_text(encoding="utf-8")
)
SMALL = [
    path.relative_to(ROOT / "book").with_suffix("").as_posix()
    for path in sorted((ROOT / "book").rglob("*.md"))
    if "data-small" in path.read_text(encoding="utf-8")
]
TRIALS = Path(__file__).with_name("trials.js")
FASTEST = "document.querySelector('[data-do=pace]').value = 0.7"


@pytest.fixture
def reader(browser):
    """Opens a page, and asserts at the end that nothing was fetched and no error was raised."""
    contexts, faults = [], []

    def open_(address: str = "", page: Path = FILE, **habits):
        if not page.is_file():
            pytest.fail(f"{page} is not built: run `python -m press build` first")
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | habits))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda r: faults.append(r.url) if not r.url.startswith(("file:", "blob:", "data:")) else None)
        tab.goto(page.as_uri() + (f"#{address}" if address else ""))
        if habits.get("java_script_enabled", True):
            tab.wait_for_function("window.bench?.now")
            tab.add_script_tag(path=TRIALS)
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert faults == []


def known(value) -> bool:
    """Whether the page has a number: it has NaN for what it does not predict."""
    return value is not None and not math.isnan(value)


def run_for(tab, tau: float) -> dict:
    """Play until so many T* have passed, and pause: where the run is then."""
    tab.evaluate(FASTEST)
    tab.evaluate("bench.play(true)")
    tab.wait_for_function(
        f"bench.now && (bench.now.t >= {tau} * bench.now.predicted.T_star || bench.now.stopped)", timeout=60_000
    )
    tab.evaluate("bench.play(false)")
    tab.wait_for_timeout(200)  # a slice may still be on its way
    return tab.evaluate("bench.now")


# --- what it says comes true ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(len(TRIES)), ids=TRIES)
def test_what_to_try_is_seen(reader, place):
    tab = reader()
    tab.evaluate(FASTEST)
    tab.locator(".tries button").nth(place).click()
    assert "Seen" not in tab.locator(".look").text_content(), "it is said beforehand what to look for"
    tab.wait_for_function("bench.now?.seen", timeout=90_000)
    now = tab.evaluate("bench.now")
    predicted = now["predicted"]
    expect(tab.locator(".look")).to_contain_text("Seen: ")
    if known(predicted["half"]) and now["arrived"]:
        assert now["arrived"] == pytest.approx(predicted["half"], rel=0.02), "a mark is 5 % of a step of log T"
    if now["near"]:
        assert predicted["law"] / now["t"] == pytest.approx(now["excess_loss"], rel=0.06)
    if "ReLU" in TRIES[place]:
        other = ScalarDynamics(36, 4, 1.0, 1.0, 1.0).at(0.5)
        assert predicted["half"] > 2 * laws.half_attention_time(other) / other.escape_time, "as it says beforehand"
    if known(predicted["floor"]):
        assert now["excess_loss"] >= predicted["floor"] * (1 - 1e-9), "nothing goes below a floor"


STATES = [
    "t=conv",
    "t=conv&D=4&K=1&e=1&M=8&d=16",  # where the slow manifold is far
    "t=conv&D=14&k=0.2&M=2&d=3&x=1",
    "t=conv&D=20&K=20&k=0",
    "t=graph&D=9&K=5&k=0&s=7",
    "t=graph&D=8&g=vAAB",
    "t=tokens&D=20&K=3&e=0.9",
    "t=tokens&D=10&j=FB",
    "t=sparse&D=12&d=5",
    "t=sparse&D=12&j=I",
    "t=conv&D=24&k=0&q=0",
    "t=conv&D=16&k=0.5&s=3&r=0.5",
    "t=paint&D=6&K=2&p=FAFAQBQBAUAU",
    "t=paint&D=5&K=2&n=0&p=VGAYAkVBB",
    "t=paint&D=6&K=2&k=0.3&r=1&n=0&p=FAFAQBQBAUAU",
]


def predictions_are_the_librarys(tab, address) -> None:
    predicted, task = tab.evaluate("bench.now")["predicted"], tab.evaluate("taskNow()")
    V_star, S_star = (torch.tensor(task[name], dtype=torch.float64) for name in ("V_star", "S_star"))
    f = Teacher(V_star, S_star, Activation(task["slope"]))
    norm_sq, D = float(f.S_star.square().sum()), f.D
    assert predicted["eta_max"] == pytest.approx(2 / (f.sigma.a * max(1, norm_sq)), rel=1e-12)
    counts, V_sq = f.support.sum(0).double(), float(f.V_star.square().sum())
    sums = f.S_star.sum(0)
    frozen, random = "q=0" in address, "r=" in address
    whole = bool((f.S_star >= 0).all() and (sums - 1).abs().max() < 1e-9)
    if whole and not frozen and counts.min() < D:
        law = float(laws.mixed_late_loss(f, predicted["eta"], 1.0))
        assert predicted["law"] == pytest.approx(law, rel=1e-12)
    else:
        assert not known(predicted["law"])
    if not whole and not frozen and f.sigma.slope == 1:
        assert predicted["floor"] == pytest.approx(float(floors.best_student(f)[0]), rel=1e-9)
    if whole and not frozen and not random and f.support.sum(0).unique().numel() == 1 and 2 * int(counts[0]) < D:
        K = int(counts[0])
        uniform = torch.allclose(f.S_star[f.support], torch.tensor(1 / K).double())
        scalars = ScalarDynamics(D, K, V_sq, predicted["eta"], f.sigma.slope)
        if uniform:
            run, target = scalars.run(3000), math.log((D - K) / K)
            half = np.interp(target, run.gap, run.t) if run.gap[-1] > target else laws.half_attention_time(scalars)
            assert predicted["half"] == pytest.approx(half / scalars.escape_time, rel=1e-9)
    assert predicted["count"] == f.V_star.numel() + D * D


@pytest.mark.parametrize("address", STATES)
def test_the_library_predicts_and_finds_what_the_page_does(reader, address):
    tab = reader(address)
    predictions_are_the_librarys(tab, address)
    now = run_for(tab, 0.7)
    assert tab.evaluate("bench.state") == address, "an address comes back as it was"
    lines, said = tab.evaluate("bench.python()"), io.StringIO()
    names: dict = {}
    with contextlib.redirect_stdout(said):
        exec(compile(lines, "bench", "exec"), names)
    assert len(names["run"].t) == now["t"] + 1
    run = names["run"]
    np.testing.assert_allclose(run.excess_loss[-1], now["excess_loss"], rtol=1e-9, atol=1e-25 * run.excess_loss[0])
    assert float(lines.rpartition("# the page found ")[2]) == now["excess_loss"]
    np.testing.assert_allclose(names["run"].W_V.numpy(), tab.evaluate("valuesNow()"), atol=1e-9)


def said_along(tab, address: str, *taus: float) -> list[str]:
    """What the bench says at these moments of a run."""
    tab.evaluate(f"location.hash = {address!r}")
    tab.wait_for_function(f"bench.state === {address!r} && bench.now")
    said = []
    for tau in taus:
        run_for(tab, tau)
        said.append(tab.locator(".says").text_content())
    return said


def test_the_sentence_is_true_at_every_moment(reader):
    tab = reader()
    early, late = said_along(tab, "t=conv&D=12&K=3&e=1.05", 0.05, 40)
    assert "no longer follows" not in early + late, "a little past the largest stable step the law holds for long"
    assert "× the late law" in late
    early, late = said_along(tab, "t=conv&q=0", 0.003, 0.5)
    assert "come to rest" not in early
    assert "come to rest at 1.00" in late
    (alone,) = said_along(tab, "t=paint&D=8&K=2&p=VV", 1)
    assert "K = D" not in alone, "one column that reads is not all"
    assert "Only C₁ moves" in said_along(tab, "t=conv&D=20&K=20&k=0", 0.01)[0]
    (most,) = said_along(tab, "t=conv&D=12&K=7", 2)
    assert most.startswith("Half of the attention is on the support from the start")
    (first,) = said_along(tab, "t=conv&D=24&r=1", 0.001)
    assert "points along" not in first
    assert "hardly moved" in first


def test_a_moment_in_the_past_knows_nothing_of_what_came_after(reader):
    tab = reader("t=conv&D=12")
    run_for(tab, 5)
    tab.locator("[data-do=scrub]").fill("0")
    readings = tab.locator("tbody tr")
    expect(readings.nth(0).locator("td").first).to_have_text("0")
    expect(readings.nth(1).locator("td").first).to_have_text("–")
    expect(readings.nth(4).locator("td").first).to_have_text("0")
    tab.locator("[data-do=step]").click()
    expect(readings.nth(0).locator("td").first).to_have_text("1")
    tab.evaluate("document.querySelector('[data-do=pace]').value = -1")
    tab.locator(".play").click()
    tab.wait_for_timeout(300)
    shown = int(readings.nth(0).locator("td").first.text_content().replace(",", ""))
    assert shown < 10, "it is shown again from there"
    tab.locator(".play").click()


# --- the state and its address ---------------------------------------------------------------------------------------


def test_whatever_is_moved_the_state_is_one_and_its_address_is_that_state(reader):
    tab = reader()
    assert [fault for seed in range(8) for fault in tab.evaluate("walked", seed)] == []


REFUSED = {
    "t=conv&D=3": "D must be a whole number from 4 to 64, not “3”",
    "t=conv&D=36.5": "D must be a whole number from 4 to 64, not “36.5”",
    "t=conv&D=1e1": "D must be a whole number from 4 to 64, not “1e1”",
    "t=conv&e=NaN": "η/η_max must be a number from 0.01 to 4, not “NaN”",
    "t=conv&e=5": "η/η_max must be a number from 0.01 to 4, not “5”",
    "t=conv&k=-1": "the slope κ must be a number from 0 to 1, not “-1”",
    "t=conv&K=40": "K must be at most D = 36, not “40”",
    "t=conv&D=8&D=9": "“D” stands twice",
    "t=toString": "there is no teacher “toString”",
    "t=conv&constructor=1": "it has no entry “constructor”",
    "t=conv&__proto__=1": "it has no entry “__proto__”",
    "t=graph&K=4": "on a ring K is odd and at least 3, not “4”",
    "t=graph&D=8&g=____________": "the list of edges is larger than D allows",
    "t=graph&D=8&g=%3Cb%3E": "the list of edges has a sign that is none of its alphabet",
    "t=conv&g=A": "the list of edges needs another teacher than “conv”",
    "t=sparse&K=2": "one token means K = 1, not “2”",
    "t=sparse&D=8&j=D": "one token is read, not several",
    "t=tokens&D=8&j=": "no token is chosen",
    "t=paint&D=8": "the painted matrix is missing",
    "t=paint&D=8&p=": "the painted matrix is empty",
    "t=conv&s=%E0%A4%A": "it is not written in UTF-8",
    "t=conv&" + 5000 * "a": "it is longer than 4,096 characters",
}


def test_a_bad_address_is_refused_with_one_sentence(reader):
    tab = reader("t=conv&D=3")
    said = "This address was not used: {}. The bench stands as it {}."
    assert tab.locator(".problem").text_content() == said.format(REFUSED["t=conv&D=3"], "does by default")
    assert tab.evaluate("bench.state") == "t=conv"
    for address, why in REFUSED.items():
        tab.evaluate("location.hash = 't=conv&D=12'")
        tab.wait_for_function("bench.state === 't=conv&D=12'")
        expect(tab.locator(".problem")).to_be_hidden()
        tab.evaluate(f"location.hash = {address!r}")
        expect(tab.locator(".problem")).to_have_text(said.format(why, "was"))
        assert tab.evaluate("bench.state") == "t=conv&D=12"


@pytest.mark.parametrize("seed", range(5))
def test_hostile_addresses_are_refused_or_run_and_nothing_freezes(reader, seed):
    """A hundred each; where the page stood still for long it must not do so every time: others may use the machine."""
    tab = reader()
    found = tab.evaluate("attacked", [seed, 100])
    assert found["faults"] == []
    assert found["used"] > 5
    assert found["refused"] > 40
    for address in found["slow"]:
        assert min(tab.evaluate("longest", address) for _ in range(5)) <= 200, address
    tab.evaluate("location.hash = 't=conv&D=12'")
    tab.wait_for_function("bench.state === 't=conv&D=12' && bench.now")
    assert run_for(tab, 0.1)["t"] > 0, "and it runs on"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_painted_is_run(reader, seed):
    assert reader().evaluate("painted", [seed, 25]) == []


def test_a_place_on_the_page_is_no_state(reader):
    tab = reader("by-keyboard~code")
    for place in ("", "what-is-computed", "~text", "by-keyboard"):
        tab.evaluate(f"location.hash = {place!r}")
        tab.wait_for_timeout(30)
        assert tab.evaluate("bench.state") == "t=conv"
        assert not tab.locator(".problem").is_visible()


def test_a_change_is_in_the_address_and_back_and_forth_go_through_it(reader):
    tab = reader()
    assert "#" not in tab.url
    tab.locator("[data-knob=D] input").fill("12")
    tab.wait_for_function("location.hash === '#t=conv&D=12'")
    tab.locator(".kinds input[value=tokens]").check()
    tab.wait_for_function("location.hash === '#t=tokens&D=12'")
    tab.reload()
    tab.wait_for_function("window.bench?.now")
    assert tab.evaluate("bench.state") == "t=tokens&D=12"


def test_the_link_and_the_lines_are_copied(reader):
    tab = reader("t=conv&D=12", permissions=["clipboard-read", "clipboard-write"])
    tab.locator("[data-do=link]").click()
    expect(tab.locator("[data-do=link]")).to_have_text("Copied")
    assert tab.evaluate("navigator.clipboard.readText()").endswith("bench.html#t=conv&D=12")
    tab.locator("[data-do=python]").click()
    expect(tab.locator("[data-do=python]")).to_have_text("Copied")
    assert "teacher = convolution(V_star, D=12, K=4, sigma=Activation(1))" in tab.evaluate(
        "navigator.clipboard.readText()"
    )


# --- the run under the reader's hand -------------------------------------------------------------------------------


def test_play_pause_step_scrub_and_restart(reader):
    tab = reader("t=conv&D=12")
    play, scrub = tab.locator(".play"), tab.locator("[data-do=scrub]")
    play.click()
    expect(play).to_have_text("❚❚ Pause")
    tab.wait_for_function("bench.now?.marks > 60")
    play.click()
    expect(play).to_have_text("▶ Play")
    tab.wait_for_timeout(200)
    t = tab.evaluate("bench.now.t")
    tab.locator("[data-do=step]").click()
    tab.wait_for_function(f"bench.now?.t === {t + 1}")
    scrub.fill("20")
    expect(tab.locator("tbody tr").first.locator("td").first).to_have_text(re.compile(r"^\d{1,2}$"))
    assert "step" in scrub.get_attribute("aria-valuetext")
    play.click()
    tab.wait_for_function(f"bench.now?.t > {t + 1}")
    play.click()
    tab.locator("[data-do=restart]").click()
    tab.wait_for_function("bench.now?.t === 0")
    expect(tab.locator(".says")).to_contain_text("All weights are zero")


def test_the_plot_is_a_handle_on_time(reader):
    tab = reader("t=conv&D=12")
    now = run_for(tab, 5)
    box = tab.locator(".loss canvas").bounding_box()
    tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 40)
    tab.mouse.up()
    step = tab.locator("tbody tr").first.locator("td").first
    expect(step).not_to_have_text(f"{now['t']:,}")
    tab.mouse.click(box["x"] + box["width"] - 14, box["y"] + 40)
    expect(step).to_have_text(f"{now['t']:,}")


def test_a_run_ends_and_begins_anew(reader):
    tab = reader("t=conv&D=4&K=1&M=8&d=16&e=1")
    run_for(tab, 299)
    tab.evaluate("bench.play(true)")
    tab.wait_for_function("!bench.now?.playing", timeout=60_000)
    assert tab.evaluate("bench.now.t") == math.ceil(300 * tab.evaluate("bench.now.predicted.T_star"))
    tab.locator(".play").click()
    tab.wait_for_function("bench.now?.playing && bench.now.t < 100")


def test_a_run_that_bursts_says_so(reader):
    tab = reader("t=paint&D=4&K=4&e=4&n=0&p=B")
    run_for(tab, 50)
    if not tab.evaluate("bench.now.stopped"):
        pytest.fail("a step beyond 2/a was stable at uniform scores")
    assert tab.locator(".says").text_content().startswith("The run left every bound at step")
    assert not tab.evaluate("bench.now.playing")


def test_divided_by_the_law_and_back(reader):
    tab = reader("t=conv&D=12")
    divide = tab.locator("[data-do=divide]")
    divide.click()
    assert divide.get_attribute("aria-pressed") == "true"
    tab.locator("[data-switch=q] input").uncheck()
    assert divide.is_disabled(), "there is no law of frozen attention"


def test_the_teacher_is_drawn_by_mouse(reader):
    tab = reader("t=graph&D=8")
    canvas = tab.locator(".drawn canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    middle, far = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), min(box["width"], box["height"]) / 2 - 14

    def node(i):
        turn = 2 * math.pi * i / 8 - math.pi / 2
        return middle[0] + far * math.cos(turn), middle[1] + far * math.sin(turn)

    def drag(i, j):
        tab.mouse.move(*node(i))
        tab.mouse.down()
        tab.mouse.move(*middle)
        tab.mouse.move(*node(j))
        tab.mouse.up()

    assert not known(tab.evaluate("bench.now.predicted.floor"))
    drag(0, 4)
    tab.wait_for_function("bench.now?.predicted.floor > 0")
    assert "g=" in tab.evaluate("bench.state")
    drag(4, 0)
    tab.wait_for_function("bench.now?.predicted.law > 0")
    drag(1, 1)
    tab.wait_for_timeout(100)
    assert tab.evaluate("bench.now.predicted.law") > 0, "a node is not joined to itself"


def test_tokens_are_chosen_by_touch(reader):
    tab = reader("t=tokens&D=8&K=2", viewport={"width": 390, "height": 800}, has_touch=True)
    canvas = tab.locator(".drawn canvas")
    canvas.scroll_into_view_if_needed()
    first = {"x": canvas.bounding_box()["width"] / 16, "y": 14}
    canvas.tap(position=first)
    tab.wait_for_function("bench.state.includes('j=')")
    expect(tab.locator("[data-knob=K] output")).to_have_text("3")
    canvas.tap(position=first)
    expect(tab.locator("[data-knob=K] output")).to_have_text("2")


def test_scores_are_read_and_painted_by_keyboard(reader):
    tab = reader("t=conv&D=8&K=2")
    tab.locator(".kinds input[value=paint]").check()
    tab.locator(".map").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
        tab.keyboard.press(key)
    expect(tab.locator(".cell")).to_have_text("Output 3 gives token 0 the score 0.125; the teacher’s is 0.")
    before = tab.evaluate("bench.state")
    tab.keyboard.press("Enter")
    tab.wait_for_function(f"bench.state !== '{before}'")
    expect(tab.locator(".cell")).to_contain_text("Output 3 gives token 0")
    tab.locator(".brush input[value='0']").check()
    tab.locator(".map").focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", " "):
        tab.keyboard.press(key)
    tab.wait_for_function(f"bench.state === '{before}'")


def test_the_last_cell_is_not_erased(reader):
    tab = reader("t=paint&D=4&K=1&p=B")
    tab.locator(".brush input[value='0']").check()
    tab.locator(".map").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".problem")).to_have_text("This cannot be: the painted matrix is empty.")
    assert tab.evaluate("bench.state") == "t=paint&D=4&K=1&p=B"


def test_a_graph_and_tokens_are_drawn_by_keyboard(reader):
    tab = reader("t=graph&D=8")
    tab.locator(".drawn canvas").focus()
    for key in ("Enter", "ArrowRight", "ArrowRight", "ArrowRight"):
        tab.keyboard.press(key)
    expect(tab.locator(".spot")).to_contain_text("From node 0 to node 3.")
    tab.keyboard.press("Enter")
    tab.wait_for_function("bench.now?.predicted.floor > 0")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Escape")
    expect(tab.locator(".spot")).not_to_contain_text("From node")
    tab.locator(".kinds input[value=tokens]").check()
    tab.locator(".drawn canvas").focus()
    tab.keyboard.press(" ")
    tab.wait_for_function("bench.state.includes('j=')")
    expect(tab.locator(".spot")).to_contain_text("Token 0 is read.")


def test_every_control_is_reached_by_tab_and_shows_its_focus(reader):
    tab = reader("t=paint&D=6&K=2&p=FAFAQBQBAUAU")
    tab.locator(".bench details summary").click()
    wanted = tab.locator(".bench :is(button:enabled, input:enabled, canvas[tabindex], summary)").evaluate_all(
        "all => all.filter((e) => e.checkVisibility() && !(e.type === 'radio' && !e.checked)).length"
    )
    tab.locator(".tries button").first.focus()
    reached, bare = 1, []
    for _ in range(wanted + 30):
        tab.keyboard.press("Tab")
        told = tab.evaluate("focused()")
        if not told[0]:
            break
        reached += 1
        bare += [] if told[1] else [told[2]]
    assert reached == wanted
    assert bare == []


@pytest.mark.parametrize("address", ["t=paint&D=6&K=2&p=FAFAQBQBAUAU", "t=graph&D=8&g=vAAB"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "dark")])
def test_everybody_can_use_it(reader, address, scheme, width):
    tab = reader(address, viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.locator(".bench details").evaluate("e => e.open = true")
    tab.wait_for_timeout(150)
    found = Axe().run(tab, context=".bench", options={"preload": False}).response["violations"]
    assert [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_less_motion_means_fewer_pictures(reader):
    tab = reader("t=conv", reduced_motion="reduce")
    assert not tab.evaluate("bench.now.playing"), "nothing starts by itself"
    tab.evaluate("countChanges()")
    tab.evaluate("bench.play(true)")
    tab.wait_for_function("bench.now?.marks > 100")
    many = tab.evaluate("[changes, bench.frames.length]")
    assert many[0] < many[1] / 10, "of its frames few are drawn"


def test_without_a_worker_it_runs_in_the_page(browser, reader):
    context = browser.new_context()
    context.add_init_script("window.Worker = class { constructor() { throw new Error('none here'); } }")
    tab = context.new_page()
    tab.goto(FILE.as_uri() + "#t=conv&D=12")
    tab.wait_for_function("window.bench?.now")
    assert tab.evaluate("bench.now.worker") is False
    assert run_for(tab, 1)["t"] > 50
    context.close()


def test_a_worker_that_cannot_start_is_replaced(browser):
    """As under a policy that lets no script come from a blob: the worker is made, and ends with an error."""
    context = browser.new_context()
    error = "setTimeout(() => this.onerror(new Event('error', { cancelable: true })), 5)"
    context.add_init_script(f"window.Worker = class {{ postMessage() {{ {error} }} }}")
    tab = context.new_page()
    tab.goto(FILE.as_uri() + "#t=conv&D=12")
    tab.wait_for_function("window.bench?.now")
    assert run_for(tab, 1)["t"] > 50
    context.close()


def test_without_scripts_and_in_print_the_page_says_where_the_figures_are(reader):
    tab = reader(java_script_enabled=False)
    expect(tab.locator(".bench")).to_contain_text("it needs JavaScript")
    printed = reader()
    printed.emulate_media(media="print")
    assert not printed.locator(".bench").is_visible()


# --- in the chapters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_a_bench_in_a_chapter_is_set_to_its_run_and_leads_to_the_whole_one(reader, name):
    tab = reader(page=SITE / f"{name}.html")
    place = tab.locator(".bench")
    state = tab.evaluate("bench.state")
    assert not place.locator(".problem").is_visible()
    assert place.locator(".play").is_visible()
    assert not place.locator(".tries").is_visible()
    named = (place.get_attribute("data-controls") or "").split()
    visible = place.locator("[data-knob], [data-switch]").evaluate_all(
        "all => all.filter((e) => e.checkVisibility()).map((e) => e.dataset.knob ?? e.dataset.switch)"
    )
    assert sorted(visible) == sorted(named), "no control that the chapter does not name"
    for part in place.get_attribute("data-shows").split():
        assert place.locator(f".{part} canvas").first.is_visible(), part
    now = run_for(tab, 0.2)
    assert now["t"] > 0
    assert now["excess_loss"] > 0
    assert "touches no claim" in place.locator(".note").text_content()
    assert tab.url.endswith(f"{name}.html"), "its state is not the page's address"
    place.locator(".note a").click()
    tab.wait_for_function("window.bench?.now && document.querySelector('.tries button')")
    assert tab.evaluate("bench.state") == state
    assert tab.url.split("#")[0] == FILE.as_uri()


def test_every_chapter_whose_figure_is_a_run_has_one():
    wanted = {"index", *(f"paper/{name}" for name in CHAPTERS)}
    assert wanted <= set(SMALL)


CHAPTERS = ("convolution", "two-scalars", "sharp-law", "graph-convolution", "token-selection", "out-of-distribution")


def test_the_whole_of_it_is_light():
    files = list((ROOT / "book" / "assets" / "bench").iterdir())
    assert sum(file.stat().st_size for file in files) <= 150_000

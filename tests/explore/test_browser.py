"""The page in a real browser: a video is chosen, controls change the picture, and it plays."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")

from mgm.data.synthetic.known_motion import make_translation
from tests.evaluation.conftest import config, pretrained_run  # noqa: F401
from tests.explore.chromium import Browser, Page, chromium, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium: install one, or name its program in MGM_CHROMIUM"),
]

PAINTED = "Number(document.documentElement.dataset.painted || 0)"
PICTURES = "[...document.querySelectorAll('#panels canvas')].map((c) => c.toDataURL().length + c.toDataURL().slice(-400)).join()"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser") / "videos"
    for name, velocity in (("a slow", (1, 0)), ("b fast", (5, -3)), ("c still", (0, 0))):
        make_translation(root / f"{name}.mp4", velocity=velocity, frames=120, size=(128, 160))
    return root


@contextmanager
def explorer(videos: Path, *options: str) -> Iterator[str]:
    """The address of an explorer in a process of its own."""
    command = [sys.executable, "-c", "from mgm.commands.main import run; run()", "explore", str(videos), "--no-browser"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:  # else a test that fails would wait for it
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def address(videos: Path) -> Iterator[str]:
    with explorer(videos, "--upload-mb", "1") as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.page()
    page.open(address)
    page.wait(f"{PAINTED} > 0")
    yield page
    assert page.errors == []


def act(page: Page, script: str) -> None:
    """Do something, and wait until the page was painted after it."""
    before = page.run(PAINTED)
    page.run(script)
    page.wait(f"{PAINTED} > {before}")


def change(page: Page, selector: str, value: object) -> None:
    """Set a control as a visitor does."""
    act(
        page,
        f"""(() => {{ const e = document.querySelector({selector!r});
        if (e.type === 'checkbox') {{ e.click(); return; }}
        e.value = {value!r}; e.dispatchEvent(new Event('input', {{bubbles: true}}));
        if (e.tagName === 'SELECT') e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()""",
    )


def shown(page: Page) -> str:
    pictures: str = page.run(PICTURES)
    return pictures


def test_choosing_a_video_shows_it(page):
    page.wait("document.querySelectorAll('#videos img').length === 3")
    before = shown(page)
    act(page, "document.querySelectorAll('#videos button')[1].click()")
    assert page.run("document.querySelector('[aria-pressed=true] .name').textContent") == "b fast.mp4"
    assert shown(page) != before
    page.wait("Number(document.getElementById('start').max) === 120 - 61")


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        ("[name=motion]", "difference"),
        ("[name=reading]", "raw"),
        ("[name=camera]", "median"),
        ("[name=arrows]", None),
        ("#mask-a", "tube"),
        ("[name=ratio]", 0.5),
        ("[name=boundary]", "wrap"),
        ("[name=jitter]", None),
        ("[name=top_k]", 16),
        ("[name=seed]", 7),
        ("[name=second-mask-beside]", None),
        ("[name=stride]", 2),
        ("[name=frames]", 8),
        ("#start", 30),
    ],
)
def test_a_control_changes_the_picture(page, selector, value):
    act(page, "document.querySelectorAll('#videos button')[1].click()")
    page.run("(e => { e.value = 3; e.dispatchEvent(new Event('input')); })(document.getElementById('scrub'))")
    page.wait("document.getElementById('start').max > 30")
    before, lines = shown(page), page.run("document.getElementById('python').textContent")
    change(page, selector, value)
    assert shown(page) != before
    if selector != "[name=arrows]":
        page.wait(f"document.getElementById('python').textContent !== {lines!r}")
    assert page.run("document.getElementById('message').hidden")


def test_playing_and_scrubbing(page):
    frame = "document.getElementById('frame-at').value"
    first = page.run(frame)
    page.run("document.getElementById('play').click()")
    page.wait(f"{frame} !== {first!r}")
    assert page.run("document.getElementById('play').textContent") == "Pause"
    page.run("document.getElementById('play').click()")
    page.run("(e => { e.value = 15; e.dispatchEvent(new Event('input')); })(document.getElementById('scrub'))")
    assert page.run(frame).startswith("16 of 16")


def test_a_corrupt_file_is_explained(page, tmp_path):
    bad = tmp_path / "holiday.mp4"
    bad.write_bytes(b"this is no video")
    page.give_file("#file", bad)
    page.wait("!document.getElementById('message').hidden")
    message = page.run("document.getElementById('message').innerText")
    assert "holiday.mp4" in message
    assert "expected" in message
    assert page.run("document.querySelectorAll('#videos li').length") == 3
    page.run("document.querySelector('#message button').click()")
    assert page.run("document.getElementById('message').hidden")
    page.errors.clear()  # the browser logs the status 422


def test_a_video_that_cannot_be_read_leaves_no_picture_of_another(browser, tmp_path):
    make_translation(tmp_path / "videos" / "a.mp4", velocity=(1, 0), frames=60, size=(64, 96))
    (tmp_path / "videos" / "b <b>.mp4").write_bytes(b"this is no video")
    with explorer(tmp_path / "videos") as address:
        page = browser.page()
        page.open(address)
        page.wait(f"{PAINTED} > 0")
        page.run("document.querySelectorAll('#videos button')[1].click()")
        page.wait("document.getElementById('message').innerText.includes('b <b>.mp4')")
        assert page.run("getComputedStyle(document.getElementById('view')).display") == "none"
        act(page, "document.querySelectorAll('#videos button')[0].click()")
        assert page.run("getComputedStyle(document.getElementById('view')).display") != "none"
        page.errors.clear()  # the browser logs the status 422


def test_200_mb_are_refused_before_they_are_sent(page, tmp_path):
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(200 * 2**20)
    page.give_file("#file", large)
    page.wait("!document.getElementById('message').hidden")
    assert "large.mp4 has 200 MB; an upload may have 1 MB" in page.run("document.getElementById('message').innerText")


def test_two_users_do_not_see_each_other_s_files(page, browser, address, videos, tmp_path):
    mine = tmp_path / "mine.mp4"
    mine.write_bytes((videos / "c still.mp4").read_bytes())
    page.give_file("#file", mine)
    page.wait("document.querySelectorAll('#videos li').length === 4")
    assert "mine.mp4 (yours)" in page.run("document.getElementById('videos').innerText")
    other = browser.page()
    other.open(address)
    other.wait(f"{PAINTED} > 0")
    assert "mine.mp4" not in other.run("document.getElementById('videos').innerText")
    act(other, "document.querySelectorAll('#videos button')[1].click()")
    assert page.run("document.querySelector('[aria-pressed=true] .name').textContent").startswith("mine.mp4")


FOCUS = """(() => {
    const e = document.activeElement, place = e.getBoundingClientRect();
    const style = getComputedStyle(e.matches('#file') ? e.parentElement : e);
    return {name: e.id || e.name || e.getAttribute('data-copy') || e.tagName.toLowerCase(), tag: e.tagName,
            ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            inside: place.bottom > 0 && place.top < innerHeight && place.right > 0 && place.left < innerWidth}; })()"""
STOPS = """[...document.querySelectorAll('button, input, select, summary, [tabindex]')]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({visibilityProperty: true}))
    .map((e) => e.id || e.name || e.getAttribute('data-copy') || e.tagName.toLowerCase())"""


def tab_to(page: Page, name: str, *, back: bool = False) -> dict:
    """Press the tab key until an element has the focus, which must be seen wherever it is."""
    for _ in range(60):
        page.press("Tab", shift=back)
        focus = page.run(FOCUS)
        if focus["tag"] != "BODY":
            assert focus["ring"], focus
            assert focus["inside"], focus
        if focus["name"] == name:
            return focus
    raise AssertionError(f"the tab key does not reach {name}")


def press(page: Page, key: str, *, times: int = 1) -> None:
    """Press a key, each time until the page was painted after it."""
    for _ in range(times):
        before = page.run(PAINTED)
        page.press(key)
        page.wait(f"{PAINTED} > {before}")


def test_the_keyboard_alone(page):
    page.wait("document.querySelectorAll('#videos img').length === 3")
    tab_to(page, "sort")
    page.press("Tab")  # the list is one stop
    assert page.run("document.activeElement.title") == "a slow.mp4"
    before = shown(page)
    page.press("ArrowDown")
    press(page, "Enter")
    assert page.run("document.querySelector('[aria-pressed=true] .name').textContent") == "b fast.mp4"
    assert shown(page) != before

    tab_to(page, "play")
    page.press("Enter")
    page.wait("document.getElementById('scrub').value !== '0'")
    page.press("Enter")
    assert page.run("document.getElementById('play').textContent") == "Play"
    tab_to(page, "scrub")
    page.press("Home")
    for _ in range(3):
        page.press("ArrowRight")
    assert page.run("document.getElementById('frame-at').value").startswith("4 of 16")

    tab_to(page, "mask-a")
    mask = page.run("document.getElementById('mask-a').value")
    before = shown(page)
    press(page, "ArrowDown")
    assert page.run("document.getElementById('mask-a').value") != mask
    assert shown(page) != before
    assert page.run(FOCUS)["name"] == "mask-a"  # its controls are made anew, the focus stays
    tab_to(page, "ratio")
    before = shown(page)
    press(page, "ArrowLeft", times=2)
    assert page.run("document.querySelector('[name=ratio]').value") == "0.65"
    assert shown(page) != before


def test_the_tab_key_reaches_every_control_and_comes_back(page):
    page.wait("document.querySelectorAll('#videos img').length === 3")
    stops = page.run(STOPS)
    assert {"file", "search", "sort", "play", "scrub", "start", "mask-a", "ratio", "seed", "export"} <= set(stops)
    for direction in (stops, stops[::-1]):
        reached = []
        for _ in direction:
            page.press("Tab", shift=direction is not stops)
            focus = page.run(FOCUS)
            assert focus["ring"], focus
            assert focus["inside"], focus
            reached.append(focus["name"])
        assert reached == direction
        page.press("Tab", shift=direction is not stops)  # out of the page, and from its other end in again


def test_escape_closes_the_message(page, tmp_path):
    bad = tmp_path / "holiday.mp4"
    bad.write_bytes(b"this is no video")
    page.give_file("#file", bad)
    page.wait("!document.getElementById('message').hidden")
    page.press("Escape")
    assert page.run("document.getElementById('message').hidden")
    page.errors.clear()  # the browser logs the status 422


def test_the_arrow_keys_move_the_place_of_the_attention(browser, videos, pretrained_run):  # noqa: F811
    answered = "Number(document.documentElement.dataset.model || 0)"
    canvas = "document.querySelector('#panel-attention canvas')"
    with explorer(videos, "--run", str(pretrained_run)) as address:
        page = browser.page()
        page.open(address)
        page.wait("document.getElementById('delay').textContent.includes('PyTorch')")  # the page does not wait for it
        page.wait(f"{answered} > 0")
        tab_to(page, "canvas")
        frame = page.run("document.getElementById('frame-at').value")
        before, answers = page.run(f"{canvas}.toDataURL()"), page.run(answered)
        page.press("ArrowRight")
        page.wait(f"{answered} > {answers}")
        assert page.run(f"{canvas}.toDataURL()") != before
        assert page.run("document.getElementById('frame-at').value") == frame
        assert page.errors == []


def test_a_fresh_installation_says_why_pictures_take_longer(browser, videos, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with explorer(videos) as address:
        page = browser.page()
        page.open(address)
        page.wait("document.getElementById('delay').textContent.includes('being compiled')")
        page.wait(f"{PAINTED} > 0")
        page.wait("document.getElementById('delay').hidden")
        assert page.errors == []

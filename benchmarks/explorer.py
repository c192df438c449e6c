"""The explorer: the time from choosing a video to its first picture, and of a repaint, over HTTP against a server process.

    python benchmarks/explorer.py [VIDEO] | tee benchmarks/results/explorer.txt

By default the video is made here: 10 s of 640 x 360 px at 25 frames a second, a texture that moves, encoded with x264's defaults.
Copies of it are chosen in turn. A control is changed by one step, seconds after the last change, as a visitor does who looks at
the picture; "a jump" is a clip that has to be read first. The answers of the server alone come first, on Linux with the processor
time of its process, which depends less on other programs. With Chromium and websockets the time that a visitor waits follows: from
the event to the painted page, on the same machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from mgm.data.synthetic.known_motion import make_translation
from timing import print_header

SEED, ROUNDS = 0, 7
FRAMES, SIZE, RATE = 250, (360, 640), 25
FIRST_PICTURE, REPAINT = 2000, 100
"""Goals in milliseconds, on two cores."""
CLIP: dict[str, Any] = {"start": 0, "frames": 16, "stride": 4, "motion": "auto", "reading": "clean", "camera": "none"}
MASK: dict[str, Any] = {"name": "mgm", "ratio": 0.75, "options": {}}
TUBE: dict[str, Any] = {"name": "tube", "ratio": 0.75, "options": {}}
OF_MASK: dict[str, Any] = {
    "another mask": {"masks": [TUBE]},
    "ratio": {"masks": [{**MASK, "ratio": 0.5}]},
    "border rule": {"masks": [{**MASK, "options": {"boundary": "wrap"}}]},
    "seed": {"seed": 1},
    "second mask beside": {"masks": [MASK, TUBE]},
}
OF_CLIP: dict[str, Any] = {
    "camera": {"camera": "median"},
    "reading": {"reading": "raw"},
    "source": {"motion": "difference"},
    "stride": {"stride": 5},
    "frames": {"frames": 18},
    "clip starts at": {"start": 1},
    "a jump": {"start": 100},
}
CONTROLS = {
    "another mask": ("#mask-a", ("tube", "mgm")),
    "ratio": ("[name=ratio]", (0.5, 0.75)),
    "border rule": ("[name=boundary]", ("wrap", "clip")),
    "seed": ("[name=seed]", (1, 2)),
    "second mask beside": ("[name=second-mask-beside]", (None, None)),
    "camera": ("[name=camera]", ("median", "none")),
    "reading": ("[name=reading]", ("raw", "clean")),
    "source": ("[name=motion]", ("difference", "auto")),
    "stride": ("[name=stride]", (5, 4)),
    "frames": ("[name=frames]", (18, 16)),
    "clip starts at": ("#start", (1, 0)),
    "a jump": ("#start", (100, 0)),
}
"""Selector on the page, and a value of one step beside the first one, to which it is set back."""
LOOKING = 3.0
"""Seconds between two changes; the server closes connections that are idle for five."""
PAINTED = "Number(document.documentElement.dataset.painted || 0)"


class Visitor:
    """A connection to the explorer with a session of its own."""

    def __init__(self, address: str, process: int) -> None:
        self._process = process
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        token = parse_qs(parts.query)["token"][0]
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._headers["x-session"] = self.ask("session")["session"]

    def ask(self, route: str, body: object = None) -> Any:
        """The answer of a route."""
        self._connection.request("POST", f"/api/{route}", json.dumps(body or {}), self._headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return content

    def processor_seconds(self) -> float:
        """Of the server's process so far; NaN where the system does not count it in a file."""
        file = Path(f"/proc/{self._process}/stat")
        if not file.exists():
            return math.nan
        user, system = file.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def time(self, *questions: tuple[str, object]) -> Seconds:
        """Seconds until questions were answered one after the other."""
        began, busy = time.perf_counter(), self.processor_seconds()
        for route, body in questions:
            self.ask(route, body)
        return Seconds(time.perf_counter() - began, self.processor_seconds() - busy)


class Seconds(NamedTuple):
    """By the clock, and of the server's processor."""

    wall: float
    busy: float = math.nan


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, help="a video of your own")
    given = parser.parse_args().video
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "videos" / f"0{given.suffix if given else '.mp4'}"
        first.parent.mkdir()
        if given:
            shutil.copyfile(given, first)
        else:
            make_translation(first, velocity=(2.5, -1), frames=FRAMES, size=SIZE, fps=RATE, seed=SEED)
        for number in range(1, 2 * ROUNDS + 1):
            shutil.copyfile(first, first.with_stem(str(number)))
        print_header(f"{given.name if given else 'a video made here'}, median of {ROUNDS} [fastest, slowest]", SEED)
        if hasattr(os, "getloadavg"):
            print(f"other programs: {os.getloadavg()[0]:.1f} processes run or wait for {os.cpu_count()} cores")
        with explorer(first.parent) as (address, process):
            print("\nanswers over HTTP")
            by_http(Visitor(address, process), first.suffix)
            by_browser(address, Path(scratch) / "profile")


@contextmanager
def explorer(folder: Path) -> Iterator[tuple[str, int]]:
    """The address of an explorer, and its process."""
    command = [sys.executable, "-c", "from mgm.commands.main import run; run()", "explore", str(folder), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def by_http(visitor: Visitor, suffix: str) -> None:
    """The answers that a page waits for."""
    visitor.ask("clip", {"video": f"0{suffix}", "clip": CLIP})  # warms up the processes that read
    chosen = [f"{number}{suffix}" for number in range(1, ROUNDS + 1)]
    first = [visitor.time(("clip", {"video": name, "clip": CLIP})) for name in chosen]
    print_line("first picture: frames, motion", first, FIRST_PICTURE)
    time.sleep(LOOKING)
    for words, change in OF_MASK.items():
        body = {"clip": CLIP, "masks": [MASK], "seed": 0, **change}
        print_line(words, [visitor.time(("masks", {"video": name, **body})) for name in chosen], REPAINT)
    changed: dict[str, list[Seconds]] = {words: [] for words in OF_CLIP}
    for name in chosen:
        visitor.ask("clip", {"video": name, "clip": CLIP})
        time.sleep(LOOKING)
        for words, change in OF_CLIP.items():
            body = {"video": name, "clip": {**CLIP, **change}}
            changed[words].append(visitor.time(("clip", body), ("masks", {**body, "masks": [MASK], "seed": 0})))
    for words, seconds in changed.items():
        print_line(words, seconds, None if words == "a jump" else REPAINT)


def by_browser(address: str, profile: Path) -> None:
    """What a visitor waits for; without a browser a line that says so."""
    sys.path.append(str(Path(__file__).parents[1]))
    try:
        from tests.explore.chromium import chromium, program
    except ImportError as error:
        print(f"\nno browser: {error}")
        return
    if program() is None:
        print("\nno browser: install Chromium, or name its program in MGM_CHROMIUM")
        return
    print("\nfrom the event to the painted page, in Chromium")
    with chromium(profile) as browser:
        page = browser.page()
        page.open(address)
        page.wait(f"{PAINTED} > 0")
        page.wait("document.querySelectorAll('#videos img').length > 5")

        def act(script: str) -> Seconds:
            before = page.run(PAINTED)
            page.run(script)
            page.wait(f"{PAINTED} > {before}")
            return Seconds(float(page.run("document.documentElement.dataset.repaint")) / 1000)

        def choose(number: int) -> Seconds:
            return act(
                f"[...document.querySelectorAll('#videos button')].find((b) => b.title.startsWith('{number}.')).click()"
            )

        unseen = range(ROUNDS + 1, 2 * ROUNDS + 1)  # the others have been chosen above
        print_line("first picture, with its mask", [choose(number) for number in unseen], FIRST_PICTURE)
        times: dict[str, list[Seconds]] = {words: [] for words in CONTROLS}
        for number in unseen:
            choose(number)
            page.wait("document.getElementById('start').max > 100")
            time.sleep(LOOKING)
            for words, (selector, (value, before)) in CONTROLS.items():
                times[words].append(act(change(selector, value)))
                act(change(selector, before))
    for words, seconds in times.items():
        print_line(words, seconds, None if words == "a jump" else REPAINT)


def change(selector: str, value: object) -> str:
    """The script that sets a control as a visitor does."""
    return f"""(() => {{ const e = document.querySelector({selector!r});
        if (e.type === 'checkbox') {{ e.click(); return; }}
        e.value = {value!r}; e.dispatchEvent(new Event('input', {{bubbles: true}}));
        if (e.tagName === 'SELECT') e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"""


def print_line(words: str, seconds: Sequence[Seconds], goal: int | None) -> None:
    """Print the median, the fastest and the slowest, the mean processor time, and whether the goal is met."""
    walls = [1000 * each.wall for each in seconds]
    middle, busy = statistics.median(walls), 1000 * statistics.fmean(each.busy for each in seconds)
    aim = "" if goal is None else f"   goal {goal} ms{'' if middle < goal else ': missed'}"
    server = "" if math.isnan(busy) else f"   {busy:4.0f} ms of the server"
    print(f"{words:32s} {middle:7.0f} ms [{min(walls):.0f}, {max(walls):.0f}]{server}{aim}", flush=True)


if __name__ == "__main__":
    main()

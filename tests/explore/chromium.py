"""A headless Chromium, driven by the DevTools protocol over a websocket: playwright would bring a browser and a Node of its own."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0
"""Seconds to wait for what must happen; machines are slow at times."""


def program() -> str | None:
    """The browser's program; None if there is none. MGM_CHROMIUM names another one."""
    found = [os.environ.get("MGM_CHROMIUM"), *map(shutil.which, PROGRAMS)]
    return next((path for path in found if path), None)


class Page:
    """One page of a browser."""

    def __init__(self, pipe: ClientConnection, session: str) -> None:
        self._pipe, self._session, self._number = pipe, session, 0
        self.errors: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "sessionId": self._session, "method": method, "params": parameters}
        self._pipe.send(json.dumps(message))
        while True:
            answer = json.loads(self._pipe.recv(timeout=PATIENCE))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(event["params"]["exceptionDetails"].get("exception", event["params"])))
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.errors.append(event["params"]["entry"]["text"])

    def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(condition)):
            assert time.monotonic() < end, (
                f"did not happen: {condition}; errors: {self.errors}; {self.run('document.body.innerText')[:600]}"
            )
            time.sleep(0.03)
        return value

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def press(self, key: str, *, shift: bool = False) -> None:
        codes = {" ": ("Space", 32, " "), "Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r")}
        codes |= {
            "ArrowLeft": ("ArrowLeft", 37, ""),
            "ArrowRight": ("ArrowRight", 39, ""),
            "ArrowDown": ("ArrowDown", 40, ""),
            "Home": ("Home", 36, ""),
            "Escape": ("Escape", 27, ""),
        }
        code, number, text = codes.get(key) or (f"Key{key.upper()}", ord(key.upper()), key)
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def give_file(self, selector: str, path: Path) -> None:
        """Choose a file, as a visitor does in the dialog of `<input type=file>`."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


class Browser:
    """A running browser."""

    def __init__(self, pipe: ClientConnection) -> None:
        self._pipe, self._number = pipe, 10**6

    def page(self) -> Page:
        """A new page, in a context of its own like that of another visitor."""
        context = self._call("Target.createBrowserContext")["browserContextId"]
        target = self._call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(self._pipe, self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "DOM"):
            page.call(f"{domain}.enable")
        page.size(1280, 800)
        return page

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._pipe.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self._pipe.recv(timeout=PATIENCE))).get("id") != self._number:
            pass
        return answer["result"]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    found = program()
    assert found is not None
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--mute-audio",
    ]
    options += [
        "--remote-debugging-port=0",
        "--disable-background-networking",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ]
    with subprocess.Popen([found, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr)), None)
            assert address is not None, "the browser did not start"
            with connect(address.group(), max_size=None, open_timeout=PATIENCE, ping_interval=None) as pipe:
                yield Browser(pipe)
        finally:
            process.kill()

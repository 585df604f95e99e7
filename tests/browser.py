"""A real Chromium, told what to do over its debugging pipe: no driver, no library."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)
_PATIENCE_SECONDS = 60


class Browser:
    """One tab.

    Attributes:
        complaints: warnings and errors of the console, and exceptions that nobody caught.
        requests: the addresses that were asked for, data in the address itself left out.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", commands: int, replies: int) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._process, self._commands, self._replies = process, commands, replies
        self._buffer, self._number, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a command of the DevTools protocol answers; events on the way are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == self._number:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return dict(reply["result"])

    def open(self, address: str, width: int = 1280, scheme: str = "light") -> None:
        """Load a page at a width, in pixels, and in the light or dark scheme; what was noted before is forgotten."""
        self.call("Page.navigate", url="about:blank")
        self.complaints.clear()
        self.requests.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return a JavaScript expression's value."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"not within {_PATIENCE_SECONDS} s: {condition}"
            time.sleep(0.05)

    def click(self, element: str) -> None:
        """Click what a JavaScript expression finds, as soon as it finds something: pages are drawn piece by piece."""
        self.wait_for(f"((one) => Boolean(one) && (one.click(), true))({element})")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._replies, 1 << 20)
            assert part, f"the browser ended with status {self._process.poll()}"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        reply = dict(json.loads(message))
        self._note(reply.get("method", ""), reply.get("params", {}))
        return reply

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(facts["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(facts["args"]))
        elif event == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent" and not facts["request"]["url"].startswith(("data:", "blob:")):
            self.requests.append(facts["request"]["url"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser whose profile lies in a folder, and end it."""
    assert PROGRAM is not None
    for_browser, commands = os.pipe()
    replies, from_browser = os.pipe()
    # The pipe's ends are the file descriptors 3 and 4, which only a shell can promise.
    shell = f'exec "$0" "$@" 3<&{for_browser} 4>&{from_browser}'
    arguments = ["bash", "-c", shell, PROGRAM, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        arguments, pass_fds=(for_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(for_browser)
    os.close(from_browser)
    try:
        tab = Browser(process, commands, replies)
        yield tab
        tab._session = ""
        with suppress(AssertionError):
            tab.call("Browser.close")
    finally:
        os.close(commands)
        os.close(replies)
        process.terminate()
        process.wait(20)

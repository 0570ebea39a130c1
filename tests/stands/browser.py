"""A real browser: headless Chromium, at the width of a phone or of a desk, with what it complained of kept."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, Playwright, sync_playwright

PHONE, DESKTOP = 390, 1280
"""Widths in pixels."""
NARROWEST = 320
_HEIGHTS = {PHONE: 844, NARROWEST: 640}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_QUIET_MS = 60_000


@dataclass(slots=True)
class Shown:
    """One page in the browser; ``page`` is Playwright's."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What the console and the network complained of."""

    def text(self, selector: str = "main") -> str:
        """What a person reads in the first element that fits; nothing when there is none."""
        found = self.page.locator(selector)
        return re.sub(r"\s+", " ", found.first.inner_text()).strip() if found.count() else ""

    def wait_for(self, words: str, deadline_s: float = 60.0, *, selector: str = "main") -> None:
        """Return when the page shows ``words`` in ``selector``; it isn't loaded again for that."""
        shown = self.page.locator(selector).filter(has_text=words).first
        try:
            shown.wait_for(timeout=deadline_s * 1000)
        except Exception as error:
            raise AssertionError(f"the page didn't show {words!r} in {deadline_s} s, but: {self.text()}") from error

    def is_wider_than_window(self) -> bool:
        """Whether one has to scroll sideways to see all of the page."""
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        return wide

    def violations(self, *rules: str) -> list[str]:
        """What axe finds that hinders people, a line each: which rule, where. By these ``rules``, or by all."""
        options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else None
        found: list[dict[str, Any]] = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {each['help']}: "
            + "; ".join(str(node["target"]) + " " + node["html"][:160] for node in each["nodes"][:4])
            for each in found
        ]

    def picture(self, path: Path, *, longest: int = 20_000) -> Path:
        """Write the page as PNG, down to ``longest`` pixels."""
        path.parent.mkdir(parents=True, exist_ok=True)
        height: int = self.page.evaluate("document.documentElement.scrollHeight")
        width: int = self.page.evaluate("window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, longest)}
        self.page.screenshot(path=path, full_page=True, clip=clip, animations="disabled")  # type: ignore[arg-type]
        return path


class Browser:
    """Chromium, while the ``with`` block runs."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=find_chromium(), args=list(_ARGUMENTS), timeout=2 * _QUIET_MS
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._chromium is not None:
                self._chromium.close()
        finally:
            if self._playwright is not None:
                self._playwright.stop()

    @contextmanager
    def open(
        self,
        url: str,
        *,
        width: int = DESKTOP,
        scripts: bool = True,
        dark: bool = False,
        headers: dict[str, str] | None = None,
        before: Callable[[Page], object] = lambda page: None,
    ) -> Iterator[Shown]:
        """Open ``url`` in a window of its own, without cookies of others; ``before`` is called before it's loaded."""
        assert self._chromium is not None
        context = self._chromium.new_context(
            viewport={"width": width, "height": _HEIGHTS.get(width, 900)},
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            extra_http_headers=headers,
            reduced_motion="reduce",
            locale="en-GB",
        )
        try:
            page = context.new_page()
            shown = Shown(page)
            page.set_default_timeout(_QUIET_MS)
            page.on("console", lambda said: _note(shown, said.type, said.text))
            page.on("pageerror", lambda error: shown.complaints.append(f"script: {error}"))
            page.on("requestfailed", lambda asked: _note_failure(shown, asked.url, asked.failure))
            before(page)
            page.goto(url, wait_until="domcontentloaded")
            yield shown
        finally:
            context.close()


def find_chromium() -> str:
    """The path of Chromium; CHROMIUM in the environment names another."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    assert found, "these tests need Chromium: apt-get install chromium"
    return found


def _note(shown: Shown, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        shown.complaints.append(f"console {kind}: {text}")


def _note_failure(shown: Shown, url: str, failure: str | None) -> None:
    # What is under way when a page is left, or when it looks elsewhere, is ended by the browser itself.
    if failure != "net::ERR_ABORTED":
        shown.complaints.append(f"{url}: {failure}")

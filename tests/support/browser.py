"""A real browser in tests: Debian's Chromium without a window, driven by Playwright, against the live server.

    def test_the_page_says_so(open_page):                  # the fixture: `browser`, logged in on request
        page = open_page("/admin/", user=make_operator())
        expect(page.get_by_text("healthy")).to_be_visible()

Where there is no Chromium these tests are skipped and say so; with REQUIRE_BROWSER=1 (as `.ci/run` sets it) they fail.
Chromium is started once a module and each test has a profile of its own, without cookies.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # it refuses to run as root with one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DEADLINE_MS = 45_000


def chromium() -> str:
    """Where it is. Skips the test where it is not, or fails it where one is required."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        message = "no Chromium on this machine (Debian and Ubuntu: apt install chromium)"
        if os.environ.get("REQUIRE_BROWSER", "") not in ("", "0"):
            pytest.fail(f"{message}, and REQUIRE_BROWSER is set")
        pytest.skip(message)
    return path


def fake_microphone(recording: Path | None = None) -> tuple[str, ...]:
    """Flags for a microphone that nobody has to be asked for: it beeps, or plays a WAV file."""
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    return (*flags, f"--use-file-for-fake-audio-capture={recording}") if recording else flags


@contextmanager
def running_browser(*flags: str) -> "Iterator[Browser]":
    """Playwright keeps an event loop in this thread, which Django would take for one of ours: it is told otherwise."""
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with running_browser() as started:
        yield started


@contextmanager
def page_of(browser: "Browser", url: str, **options: Any) -> "Iterator[Page]":
    """A page in a profile of its own (`options`: those of Playwright's new_context). An error in its scripts fails
    the test."""
    context = browser.new_context(base_url=url, reduced_motion="reduce", **options)
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
        assert errors == []
    finally:
        context.close()


@pytest.fixture
def open_page(browser: "Browser", live_server: Any) -> "Iterator[Callable[..., Page]]":
    """`open_page(path, user=None, **options)`: a page of the live server, with the user logged in."""
    opened = []

    def open_it(path: str, user: User | None = None, **options: Any) -> "Page":
        manager = page_of(browser, live_server.url, **options)
        page = manager.__enter__()
        opened.append(manager)
        if user:
            page.context.add_cookies([session_cookie(user, live_server.url)])
        page.goto(path)
        return page

    yield open_it
    for manager in reversed(opened):
        manager.__exit__(None, None, None)


def session_cookie(user: User, url: str) -> Any:
    """As after a login, without its half second of password hashing."""
    client = Client()
    client.force_login(user)
    return {
        "name": settings.SESSION_COOKIE_NAME,
        "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "url": url,
    }

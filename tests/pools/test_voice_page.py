"""The page of a room in a real browser, with a microphone that plays a speech file, against the default bot."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from playwright.sync_api import Browser, Page, expect

from pools.agent.launcher import agent_environment
from tests.support.agents import PROJECT, Agents, config, running_agents
from tests.support.browser import FLAGS, chromium, fake_microphone, page_of, running_browser
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.speech import speech_file
from tests.support.voice_calls import Call
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    without_keys = replace(config("pools.agent.bots.default", bot_dir=PROJECT), env=agent_environment(os.environ, []))
    with running_agents("zygote", without_keys) as agents:
        yield agents


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its microphone says something after six seconds of silence, over and over."""
    file: Path = tmp_path_factory.mktemp("speech") / "caller.wav"
    speech_file(file, "Hello, I would like to know where my parcel is.", silence=6)
    with running_browser(*fake_microphone(file), "--autoplay-policy=no-user-gesture-required") as started:
        yield started


def expired(token: str, sandbox: Sandbox) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**claims, "exp": int(time.time()) - 60}, sandbox.api_key, algorithm="HS256")


def state(page: Page, wanted: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", wanted)


def until(page: Page, condition: str) -> None:
    """Playwright's own wait evaluates text in the page, which the page's policy does not allow."""
    wait_until(lambda: page.evaluate(condition), 20)


def test_a_visitor_hears_the_bot_is_heard_and_leaves(browser: Browser, agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)
    with page_of(browser, sandbox.url) as page:
        page.goto(f"/{call.room}?t={call.token}")
        page.get_by_role("button", name="Join with microphone").click()
        state(page, "joined")
        until(page, "voiceRoom.times.heard !== undefined && voiceRoom.levels.botPeak > 0.02")
        expect(page.locator("#transcript .bot").first).to_contain_text("Hello Ada!")
        expect(page.locator("#transcript .you").first).to_contain_text("no speech recognition", timeout=40_000)
        expect(page.locator("#transcript")).to_contain_text("I listened to you for", timeout=40_000)
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_role("status")).to_have_text("You have left the call")
    ended = call.end()
    assert (ended.reason, ended.outcome) == ("caller_left", "completed")
    assert {entry["role"] for entry in ended.transcript} == {"assistant", "user"}


def test_a_page_that_is_reloaded_goes_on_with_the_same_call(browser: Browser, agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)
    with page_of(browser, sandbox.url) as page:
        page.goto(f"/{call.room}?t={call.token}")
        page.get_by_role("button", name="Join with microphone").click()
        state(page, "joined")
        before = sandbox.participants(call.room)
        page.reload()
        state(page, "joined")
        until(page, "voiceRoom.times.connected !== undefined")
        assert sandbox.participants(call.room) == before
        page.get_by_role("button", name="Leave").click()
    assert call.end().reason == "caller_left"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("trouble", "told"), [("exp-token", "has expired"), ("no-room", "does not exist"), ("not-allowed", "may not join")]
)
def test_a_visitor_who_is_not_let_in_is_told_why(
    browser: Browser, sandbox: Sandbox, trouble: str, told: str, theme: str
) -> None:
    room = sandbox.create_room(privacy="private")["name"]
    token = sandbox.token(room, exp=int(time.time()) + 600)
    address = {
        "exp-token": f"/{room}?t={expired(token, sandbox)}",
        "no-room": f"/no-such-room?t={token}",
        "not-allowed": f"/{room}",
    }[trouble]
    with page_of(browser, sandbox.url, color_scheme=theme, viewport={"width": 360, "height": 640}) as page:
        page.goto(address)
        page.get_by_role("button", name="Join with microphone").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text(told)
        expect(alert).to_contain_text(trouble)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("flags", "told"),
    [(("--use-fake-device-for-media-stream", "--deny-permission-prompts"), "was refused"), ((), "No microphone")],
)
def test_a_visitor_without_a_microphone_is_told_what_to_do(
    browser: Browser, sandbox: Sandbox, flags: tuple[str, ...], told: str
) -> None:
    room = sandbox.create_room()["name"]
    with (
        browser.browser_type.launch(executable_path=chromium(), args=[*FLAGS, *flags]) as bare,
        page_of(bare, sandbox.url) as page,
    ):
        page.goto(f"/{room}")
        page.get_by_role("button", name="Join with microphone").click()
        expect(page.get_by_role("alert")).to_contain_text(told)
        state(page, "failed")
        assert not sandbox.participants(room)

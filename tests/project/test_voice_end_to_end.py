"""A visitor presses the button and talks with the bot, through everything that runs in production but Daily.

gunicorn, runpools, PostgreSQL, forked agents with the default bot, the sandbox; once in real Chromium with a microphone
that plays a speech file, once with a caller on aiortc for where there is no browser.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from pools.models import VoiceSession
from tests.support.api import CONNECT
from tests.support.browser import fake_microphone, page_of, running_browser
from tests.support.daily_sandbox import Sandbox
from tests.support.make import make_template
from tests.support.speech import speech, speech_file
from tests.support.waiting import wait_until
from tests.support.whole_service import Service, running_service
from trials.bench.voice_caller import VoiceCaller

pytestmark = pytest.mark.usefixtures("transactional_db")
SPOKEN = "Hello, I would like to know where my parcel is."
NO_KEYS = dict.fromkeys(("OPENAI_API_KEY", "DEEPGRAM_API_KEY", "CARTESIA_API_KEY"), "")


@pytest.fixture
def service(transactional_db: None, sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    variables = {"VOICE_AGENT_BOT": "pools.agent.bots.default", "TALK_PAGE": "on", **NO_KEYS}
    with running_service(sandbox, tmp_path, **variables) as service:
        yield service


def finished_session(**which: Any) -> VoiceSession:
    wait_until(lambda: VoiceSession.objects.filter(ended_at__isnull=False, **which).exists())
    return VoiceSession.objects.get(**which)


def check(session: VoiceSession, name: str) -> None:
    """A call that was warm, heard on both sides, and taken down."""
    assert (session.start_kind, session.end_reason, session.outcome) == ("warm", "caller_left", "completed")
    assert session.bot_joined_at and session.caller_joined_at and session.first_audio_at
    said = {
        role: " ".join(e["content"] for e in session.transcript if e["role"] == role) for role in ("assistant", "user")
    }
    assert f"Hello {name}!" in said["assistant"] and "I listened to you for" in said["assistant"]
    assert said["user"].startswith("(spoke for ")


def test_a_visitor_talks_with_the_bot_in_a_browser(service: Service, tmp_path: Path) -> None:
    make_template("demo", reseller_id="demo", merchant_id="demo", configurations={})
    microphone = speech_file(tmp_path / "caller.wav", SPOKEN, silence=6)
    with running_browser(*fake_microphone(microphone)) as browser, page_of(browser, service.url) as page:
        page.goto("/talk")
        page.get_by_label("Your name").fill("Asha")
        page.get_by_role("button", name="Talk to it").click()
        expect(page.locator("body")).to_have_attribute("data-state", "joined")
        wait_until(lambda: page.evaluate("voiceRoom.levels.botPeak") > 0.02)  # energy in the audio that has arrived
        expect(page.locator("#transcript .bot").first).to_contain_text("Hello Asha!")
        expect(page.locator("#transcript")).to_contain_text("I listened to you for", timeout=40_000)
        page.get_by_role("button", name="Leave").click()
        session = finished_session()
    check(session, "Asha")
    wait_until(lambda: service.available() == (1, 2))


def test_a_caller_without_a_browser_talks_with_the_bot(service: Service) -> None:
    lead = service.push(payload={"customer_name": "Ada"})
    connected = service.post(CONNECT, {"lead_id": lead}).json()

    async def call() -> None:
        async with VoiceCaller() as caller:
            await caller.join(connected["room_url"], connected["token"])
            await caller.until_heard()
            await caller.until_silence()
            before = caller.loud_frames
            caller.say(speech(SPOKEN))
            await caller.until_told("user-stopped-speaking")
            await caller.until(lambda: caller.loud_frames > before + 20)

    asyncio.run(call())
    check(finished_session(uuid=connected["session_id"]), "Ada")
    wait_until(lambda: service.lead(lead)["status"] == "FINISHED")
    assert service.lead(lead)["outcome"] == "completed"

"""What is secret is looked for in everything that a run of the whole service shows and leaves."""

import os
import re
from pathlib import Path

import pytest

from pools.models import VoiceSession
from tests.support.api import CONNECT
from tests.support.waiting import wait_until
from tests.support.whole_service import running_service

pytestmark = pytest.mark.usefixtures("transactional_db")

PHONE = "+919876543210"
PROVIDER_KEY = "sk-provider-key-of-the-test"
SIGNING_KEY = "signing-key-of-the-secrets-test-0123456789"
ANY_MEETING_TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+")
TALKATIVE_BOT = """
import os
from pools.agent.bots import light

async def bot(args):
    print(args.room_url, args.token, args.body, os.environ["OPENAI_API_KEY"], flush=True)
    await light.bot(args)
    raise RuntimeError(f"cannot say {args.token} to {args.body['payload']['customer_mobile_number']}")
"""


def read_proc(pid: int, name: str) -> str:
    """A file below /proc/PID, with spaces for its NULs; empty if the process has gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def found(secrets: list[str], text: str) -> list[int]:
    """Positions of the secrets that are in the text: a failure shall not print them."""
    return [position for position, secret in enumerate(secrets) if secret in text]


def test_no_secret_shows_in_arguments_environments_of_agents_reports_or_logs(sandbox, tmp_path):
    (tmp_path / "talkative.py").write_text(TALKATIVE_BOT)
    variables = {
        "SECRET_KEY": SIGNING_KEY,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "LOG_LEVEL": "DEBUG",
        "VOICE_AGENT_BOT": "talkative",
        "VOICE_AGENT_BOT_DIR": str(tmp_path),
    }
    with running_service(sandbox, tmp_path, **variables) as service:
        lead_id = service.push(payload={"customer_name": "Asha", "customer_mobile_number": PHONE})
        connected = service.post(CONNECT, {"lead_id": lead_id}).json()
        room, token = connected["room_url"].rpartition("/")[2], connected["token"]
        wait_until(lambda: sandbox.participants(room))
        caller = sandbox.join(room, token)
        wait_until(lambda: VoiceSession.objects.get().caller_joined_at)
        service.post(f"{CONNECT}?token={token}", {"lead_id": token, "token": token})  # a client's mistake

        api_token = service.headers["Authorization"].removeprefix("Bearer ")
        secrets = [sandbox.api_key, SIGNING_KEY, token, api_token, PHONE, PHONE[1:], os.environ["DATABASE_URL"]]
        processes = service.processes()
        assert len(processes) >= 7  # runpools, zygote, its output, two agents, gunicorn and its worker
        for pid in processes:
            assert not found([*secrets, PROVIDER_KEY], read_proc(pid, "cmdline"))
        assert not found(
            [sandbox.api_key, SIGNING_KEY, os.environ["DATABASE_URL"]], read_proc(service.runpools.pid, "environ")
        )
        agents = service.runpools.descendants()
        assert len(agents) == 4  # zygote, the process that redacts its output, two agents
        for pid in agents:
            environment = read_proc(pid, "environ")
            assert PROVIDER_KEY in environment  # allowed, and proof that we see it
            assert not found(secrets, environment)
            assert not re.search(r"\b(DATABASE_URL|DAILY_API_KEY|SECRET_KEY)=", environment)

        sandbox.leave(room, caller)
        wait_until(lambda: service.lead(lead_id)["status"] == "FINISHED")
        assert "[redacted]" in VoiceSession.objects.get().detail["error"]
        assert not found(secrets, str(VoiceSession.objects.values("detail", "end_reason", "transcript").get()))
        assert f"{connected['room_url']} [redacted]" in service.runpools.output()  # the bot has said it all
        for program in (service.runpools, service.gunicorn):
            assert not found([*secrets, PROVIDER_KEY], program.output())
            assert not ANY_MEETING_TOKEN.search(program.output())

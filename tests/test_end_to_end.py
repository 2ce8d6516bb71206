"""From the HTTP request to the end of the call, everything real: gunicorn, runpools, zygote, agents, PostgreSQL, sandbox.

What is secret is looked for in everything that one such run leaves and shows (test_secrets.py has the parts).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from pools.models import AgentProcess, Room, StockStatus, VoiceSession
from tests.api import CONNECT, LEADS, POOL_STATUS, ROOM_POOL_STATUS, lead_body
from tests.daily_sandbox import Sandbox
from tests.make import bearer, make_template
from tests.service import Program, is_running, running_gunicorn, running_runpools
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")

PHONE = "+919876543210"
PROVIDER_KEY = "sk-provider-key-of-the-test"
SIGNING_KEY = "signing-key-of-the-end-to-end-test"


@dataclass
class Service:
    """Both commands, running. Requests go over TCP, with a token of role admin."""

    url: str
    headers: dict[str, str]
    programs: list[Program]
    sandbox: Sandbox

    def post(self, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
        return requests.post(self.url + path, json=body, headers=self.headers | headers, timeout=10)

    def get(self, path: str) -> Any:
        response = requests.get(self.url + path, headers=self.headers, timeout=10)
        assert response.status_code == 200
        return response.json()

    def push(self, **values: Any) -> str:
        response = self.post(LEADS, lead_body(**values))
        assert response.status_code == 201
        return str(response.json()["lead_id"])

    def lead(self, lead_id: str) -> Any:
        return self.get(f"{LEADS}/{lead_id}")

    def processes(self) -> set[int]:
        return {pid for program in self.programs for pid in {program.pid} | program.descendants()}


@pytest.fixture
def service(sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    make_template("demo")
    variables = {"SECRET_KEY": SIGNING_KEY, "OPENAI_API_KEY": PROVIDER_KEY, "LOG_LEVEL": "DEBUG"}
    with (
        running_runpools(sandbox, tmp_path, **variables) as runpools,
        running_gunicorn(sandbox, tmp_path, **variables) as (gunicorn, url),
    ):
        service = Service(url, bearer(), [runpools, gunicorn], sandbox)
        wait_until(lambda: service.get(POOL_STATUS)["available"] == 1, 20)
        wait_until(lambda: service.get(ROOM_POOL_STATUS)["available"] == 2, 20)
        yield service


def test_a_lead_is_pushed_connected_spoken_with_and_finished(service, sandbox):
    lead_id = service.push()
    assert service.lead(lead_id)["status"] == "BACKLOG"
    answer = service.post(CONNECT, {"lead_id": lead_id})
    assert answer.status_code == 200
    connected = answer.json()
    room = connected["room_url"].rpartition("/")[2]
    session = VoiceSession.objects.get(uuid=connected["session_id"])
    assert session.start_kind == "warm"
    assert service.lead(lead_id)["status"] == "PROCESSING"
    wait_until(lambda: [person["user_name"] for person in sandbox.participants(room)] == ["Bot"])
    caller = sandbox.join(room, connected["token"])
    wait_until(lambda: VoiceSession.objects.get(pk=session.pk).caller_joined_at)
    pid = VoiceSession.objects.get(pk=session.pk).agent_process.os_pid
    sandbox.leave(room, caller)
    wait_until(lambda: service.lead(lead_id)["status"] == "FINISHED")
    assert service.lead(lead_id)["outcome"] == "caller_left"
    wait_until(lambda: not is_running(pid) and room not in sandbox.rooms())
    wait_until(lambda: service.get(POOL_STATUS)["available"] == 1 and service.get(POOL_STATUS)["in_use"] == 0)
    wait_until(lambda: service.get(ROOM_POOL_STATUS)["available"] == 2)
    again = service.post(CONNECT, {"lead_id": lead_id})
    assert again.status_code == 400
    assert not AgentProcess.objects.in_use().exists() and not Room.objects.in_use().exists()


def test_a_burst_beyond_the_stock_is_served_in_rooms_and_by_processes_of_its_own(service, sandbox):
    leads = [service.push(request_id=f"order-{number}") for number in range(5)]
    answers = [service.post(CONNECT, {"lead_id": lead}) for lead in leads]
    assert [answer.status_code for answer in answers] == [200] * 5
    rooms = {answer.json()["room_url"].rpartition("/")[2] for answer in answers}
    assert len(rooms) == 5
    wait_until(lambda: all(len(sandbox.participants(room)) == 1 for room in rooms), 20)
    sessions = VoiceSession.objects.active()
    assert len(set(sessions.values_list("agent_process", flat=True))) == 5
    assert set(sessions.values_list("start_kind", flat=True)) > {"warm"}
    assert Room.objects.filter(status=StockStatus.IN_USE).count() == 5


# --- secrets -----------------------------------------------------------------------------------------------


def read_proc(pid: int, name: str) -> str:
    """A file below /proc/PID, NULs as spaces; empty if the process has gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_no_secret_shows_in_arguments_environments_of_agents_or_logs(service, sandbox, tmp_path):
    lead_id = service.push(payload={"customer_name": "Asha", "customer_mobile_number": PHONE})
    connected = service.post(CONNECT, {"lead_id": lead_id}).json()
    room = connected["room_url"].rpartition("/")[2]
    wait_until(lambda: sandbox.participants(room))
    owner_token = re.compile(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+")  # the bot's meeting token is known to it alone
    sandbox.join(room, connected["token"])
    wait_until(lambda: VoiceSession.objects.get().caller_joined_at)
    service.post(CONNECT, {"lead_id": "not a uuid", "token": connected["token"]})
    service.post(f"{CONNECT}?token={connected['token']}", {"lead_id": lead_id})

    api_token = service.headers["Authorization"].removeprefix("Bearer ")
    secrets = [sandbox.api_key, SIGNING_KEY, connected["token"], api_token, PHONE, PHONE[1:]]
    processes = service.processes()
    assert len(processes) >= 6  # runpools, zygote, two agents, gunicorn and its worker
    for pid in processes:
        arguments = read_proc(pid, "cmdline")
        assert not [secret for secret in [*secrets, PROVIDER_KEY] if secret in arguments]
    runpools = service.programs[0]
    agents = runpools.descendants()
    assert len(agents) == 3
    for pid in agents:
        environment = read_proc(pid, "environ")
        assert "VOICE_AGENT_BOT" in environment and PROVIDER_KEY in environment
        assert not [secret for secret in [*secrets, os.environ["DATABASE_URL"]] if secret in environment]
        assert not re.search(r"\b(DATABASE_URL|DAILY_API_KEY|SECRET_KEY)=", environment)

    participant = sandbox.participants(room)[-1]["id"]
    sandbox.leave(room, participant)
    wait_until(lambda: service.lead(lead_id)["status"] == "FINISHED")
    for program in service.programs:
        log = program.output()
        assert log
        assert not [secret for secret in [*secrets, PROVIDER_KEY] if secret in log]
        assert not owner_token.search(log)
    spooled = [path.read_text() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not [secret for secret in secrets for text in spooled if secret in text]

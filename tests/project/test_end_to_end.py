"""From the HTTP request to the end of the call, through the two commands that run in production."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pools.models import AgentProcess, Room, StockStatus, VoiceSession
from tests.support.api import CONNECT, POOL_STATUS
from tests.support.daily_sandbox import Sandbox
from tests.support.programs import is_running
from tests.support.service import pid_of
from tests.support.waiting import wait_until
from tests.support.whole_service import Service, running_service

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def service(transactional_db: None, sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    with running_service(sandbox, tmp_path) as service:
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
    pid = pid_of(AgentProcess.objects.get(voice_session=session))
    sandbox.leave(room, caller)
    wait_until(lambda: service.lead(lead_id)["status"] == "FINISHED")
    assert service.lead(lead_id)["outcome"] == "caller_left"
    wait_until(lambda: not is_running(pid) and room not in sandbox.rooms())
    wait_until(lambda: service.available() == (1, 2) and service.get(POOL_STATUS)["in_use"] == 0)
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

"""Connections to PostgreSQL fall silent without closing: our own deadlines find out, calls go on, all comes back."""

import pytest
import requests

from pools.models import Pod
from tests.support.api import CONNECT
from tests.support.programs import database_url
from tests.support.waiting import wait_until
from tests.support.whole_service import running_service
from trials.chaos.silence import SilentProxy

pytestmark = pytest.mark.usefixtures("transactional_db")
DEADLINE = 40.0


def test_silent_connections_are_given_up_and_had_again(sandbox, tmp_path):
    proxy = SilentProxy(database_url())
    try:
        with running_service(sandbox, tmp_path, DATABASE_URL=proxy.url) as service:
            leads = [service.push() for _ in range(2)]
            connected = service.post(CONNECT, {"lead_id": leads[0]}).json()
            room = connected["room_url"].rpartition("/")[2]
            wait_until(lambda: sandbox.participants(room))
            caller = sandbox.join(room, connected["token"])
            pod = Pod.objects.current().get()

            proxy.fall_silent()
            refused = service.post(CONNECT, {"lead_id": leads[1]})
            assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
            wait_until(service.runpools.says("event=database_away"), DEADLINE)
            assert len(sandbox.participants(room)) == 2

            proxy.speak()
            wait_until(service.runpools.says("event=database_back"), DEADLINE)
            wait_until(lambda: connects(service.url, service.headers, leads[1]), DEADLINE)
            sandbox.leave(room, caller)
            wait_until(lambda: service.lead(leads[0])["status"] == "FINISHED")
            assert Pod.objects.current().get() == pod, "the same incarnation goes on"
            for program in (service.runpools, service.gunicorn):
                assert "Traceback" not in program.output()
    finally:
        proxy.close()


def connects(url: str, headers: dict[str, str], lead: str) -> bool:
    """One that lost its answer to the silence may have connected: then it is no longer in the backlog (400)."""
    status = requests.post(url + CONNECT, json={"lead_id": lead}, headers=headers, timeout=30).status_code
    assert status in (200, 400, 503)
    return status != 503

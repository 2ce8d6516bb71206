"""PostgreSQL has become a standby, and our connections have outlived that: it answers, but takes no changes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from tests.support.api import CONNECT, check_problem, post
from tests.support.make import bearer, make_daily_account, make_lead
from tests.support.service import run_until


@contextmanager
def standby() -> Iterator[None]:
    """For the connection of this thread; another one would reach the new primary."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        yield
    finally:
        connection.close()


def test_a_pod_goes_on_as_if_the_database_were_away_and_connects_anew(pods, caplog):
    caplog.set_level("INFO")
    pod = pods.start_full(agent_target=1, room_target=1)
    with standby():
        run_until(pod, lambda: "event=database_away" in caplog.text)
        run_until(pod, lambda: "event=database_back" in caplog.text)
    assert "read-only transaction" in caplog.text
    assert not pod.reaped and len(pod.agents.agents) == 1


@pytest.mark.django_db(transaction=True)
def test_a_caller_is_told_to_come_back():
    make_daily_account()
    lead, headers = make_lead(), bearer()
    with standby():
        answer = post(CONNECT, {"lead_id": str(lead.uuid)}, headers)
        assert connection.connection.closed, "whoever has it next would meet the standby too"
    assert check_problem(answer, 503) == "The database is not available."
    assert int(answer["Retry-After"]) > 0

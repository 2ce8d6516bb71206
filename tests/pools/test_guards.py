"""One row, or one task beside the calls, must not end a pod."""

import logging
import uuid
from collections import deque
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from pools.chores import reaper
from pools.guards import Guards, one_by_one
from pools.models import Pod, VoiceSession
from pools.processes import orphans
from pools.sessions.ending import Result, end_session
from pools.status.state import read_state
from tests.support.make import make_pod, make_session
from tests.support.service import is_full, run_until
from tests.support.session_owner import ends_are_told_to


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def broken() -> None:
    raise ValueError("+919876543210")


def away() -> None:
    raise OperationalError("the connection is lost")


def test_what_raises_is_left_alone_for_a_while_then_tried_again_and_what_works_is_done(caplog):
    clock, tried = Clock(), []
    guards = Guards(clock)

    def work() -> None:
        tried.append(clock.now)
        broken()

    for _ in range(40):
        clock.now += 1.0
        guards.run("this row", work)
        assert guards.run("another", lambda: "done") == "done"
    assert 3 < len(tried) < 8 and tried[1] - tried[0] < tried[-1] - tried[-2]
    assert (
        guards.trouble
        == f"this row fails: ValueError at tests/pools/test_guards.py:{broken.__code__.co_firstlineno + 1}"
    )
    assert "+91987" not in caplog.text and "ValueError at tests/pools/test_guards.py" in caplog.text
    clock.now += 60.0
    assert guards.run("this row", lambda: 1) == 1
    assert guards.trouble == ""


def test_a_row_that_is_gone_is_no_trouble_any_more():
    clock = Clock()
    guards = Guards(clock)
    for number in range(5):
        guards.run(f"row {number}", broken)
    assert guards.trouble.count("fails") == 3 and guards.trouble.endswith("and 2 more")
    clock.now += 400.0
    assert guards.trouble == ""


def test_a_database_that_is_away_is_everybodys_business():
    with pytest.raises(OperationalError):
        Guards().run("anything", away)
    items = deque([1])
    with pytest.raises(OperationalError):
        one_by_one(items, lambda item: away(), "anything")
    assert items == deque([1])


def test_what_cannot_be_written_down_does_not_hold_up_what_is_behind_it():
    done: list[int] = []
    items = deque([1, 2, 3])
    one_by_one(items, lambda item: broken() if item == 2 else done.append(item), "answers")
    assert (done, list(items)) == ([1, 3], [])


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["x" * 36, "0" * 36, str(uuid.uuid4()).upper()], ids=["letters", "digits", "capitals"])
def test_a_report_whose_name_is_no_session_is_discarded(tmp_path, name):
    (tmp_path / f"{name}.1.json").touch()
    assert orphans.take_in_reports(tmp_path, set(), Guards()) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.django_db
def test_a_report_that_cannot_be_stored_costs_that_report(tmp_path):
    gone = make_pod(ended_at="2026-01-01T00:00Z")
    bad, good = sorted((make_session("active", pod=gone) for _ in range(2)), key=lambda session: str(session.uuid))
    for session in (bad, good):
        (tmp_path / f"{session.uuid}.1.json").touch()

    def fails_for_the_first(session: VoiceSession) -> None:
        if session.pk == bad.pk:
            broken()

    guards = Guards()
    with ends_are_told_to(fails_for_the_first):
        orphans.take_in_reports(tmp_path, set(), guards)
    assert [VoiceSession.objects.get(pk=session.pk).status for session in (bad, good)] == ["active", "ended"]
    assert guards.trouble.startswith(f"taking in report {bad.uuid}")


def test_a_chore_that_raises_costs_that_chore_and_the_status_says_so(pods):
    pod = pods.start()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pools_poolsample RENAME TO mislaid")
    try:
        run_until(pod, lambda: Pod.objects.exclude(task_trouble="").exists())
        run_until(pod, lambda: is_full(pod))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE mislaid RENAME TO pools_poolsample")
    [reason] = [reason for reason in read_state().reasons() if "taking samples" in reason]
    assert reason.startswith(f"pod {pod.pod.name}: ")
    assert "taking samples fails: ProgrammingError at pools/status/sampling.py" in reason


def test_a_session_is_over_even_if_nobody_can_be_told_afterwards(transactional_db, caplog, settings):
    """The traces of a session are sent after the commit: what raises there must end neither the pod nor a request."""
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://[no address"
    session = make_session()

    def forgets_it(ended: VoiceSession) -> None:
        """So that there is no session to make a trace of."""
        VoiceSession.objects.filter(pk=ended.pk).delete()

    with caplog.at_level(logging.ERROR), ends_are_told_to(forgets_it), transaction.atomic():
        assert end_session(session.pk, Result("bot_ended"))
    assert not VoiceSession.objects.exists()
    assert "DoesNotExist" in caplog.text


@pytest.mark.django_db
def test_a_session_that_cannot_be_handed_back_or_ended_costs_itself_in_each_chore():
    def cannot_end(bad: VoiceSession) -> AbstractContextManager[None]:
        return ends_are_told_to(lambda session: broken() if session.pk == bad.pk else None)

    def left(sessions: list[VoiceSession]) -> list[str]:
        return [VoiceSession.objects.get(pk=session.pk).status for session in sessions]

    long_ago = timezone.now() - timedelta(hours=1)
    guards, gone = Guards(), make_pod(ended_at=long_ago)
    assigned = [make_session("assigned", pod=gone, created_at=long_ago) for _ in range(3)]
    with cannot_end(assigned[1]):
        assert reaper.take_back_unacknowledged(Pod.objects.ended(), guards) == 2
    assert left(assigned) == ["ended", "assigned", "ended"]
    waiting = [make_session("waiting", created_at=long_ago) for _ in range(3)]
    with cannot_end(waiting[0]):
        assert reaper.end_overdue_waiting(10.0, guards) == 2
    assert left(waiting) == ["waiting", "ended", "ended"]
    calls = [make_session("active", pod=gone, active_at=long_ago, bot_joined_at=long_ago) for _ in range(3)]
    with cannot_end(calls[2]):
        assert reaper.end_abandoned_calls(calls, set(), 10.0, guards) == 2
    assert left(calls) == ["ended", "ended", "active"]
    assert guards.trouble.count("ValueError at tests/pools/test_guards.py") == 3

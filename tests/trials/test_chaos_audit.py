"""The audit at the end of chaos and soak runs: what it takes for agreement, and what it calls wrong."""

from dataclasses import replace
from uuid import uuid4

from trials.chaos.accounts import settle
from trials.chaos.audit import AtDaily, Database, compare
from trials.chaos.callers import Answer
from trials.chaos.findings import times
from trials.chaos.tables import Session

DATABASE = Database(sessions={"s1": "used"}, rooms={"stock", "used"}, fading={"old"}, pids={1, 2})
DAILY = AtDaily(rooms={"stock", "used", "old"}, bots={"used": ["s1"]})
QUIET = {"rate_limited": 0, "ejected": {}}


def test_a_level_world_agrees_and_rooms_that_fade_are_nobodys_fault():
    assert compare(DATABASE, DAILY, {1, 2}).agrees
    assert compare(DATABASE, replace(DAILY, rooms={"stock", "used"}), {1, 2}).agrees


def test_rooms_that_only_one_side_knows_are_named():
    audit = compare(DATABASE, replace(DAILY, rooms={"used", "stray"}), {1, 2})
    assert (audit.rooms_left_over, audit.rooms_missing) == (["stray"], ["stock"])


def test_processes_without_a_row_and_rows_without_a_process_are_named():
    audit = compare(DATABASE, DAILY, {2, 3})
    assert (audit.processes_left_over, audit.processes_missing) == ([3], [1])


def test_bots_without_a_session_sessions_without_a_bot_and_second_bots_are_named():
    audit = compare(DATABASE, replace(DAILY, bots={"used": ["s2", "s3"]}), {1, 2})
    assert (audit.bots_left_over, audit.bots_missing, audit.two_bots) == (["s2", "s3"], ["s1"], ["used"])


def test_a_stuck_lead_is_a_disagreement():
    assert not compare(replace(DATABASE, stuck_leads=1), DAILY, {1, 2}).agrees


def _answer(status: int = 200, **values) -> Answer:
    return Answer("lead", status, 0.0, 0.0, session=uuid4() if status == 200 else None, **values)


def _session(answer: Answer, **values) -> Session:
    assert answer.session
    session = Session(
        answer.session, "ended", "warm", 1, 0.0, 1.0, None, 2.0, "caller_left", 1, str(answer.session), 1800.0
    )
    return replace(session, **values)


def test_every_connect_is_accounted_for():
    answers = [_answer(), _answer(), _answer(), _answer(503, retry_after="2"), _answer(500)]
    sessions = [
        _session(answers[0]),
        _session(answers[1], kind="cold", attempt=2),
        _session(answers[2], reason="not_started"),
    ]
    accounts = settle(answers, {session.uuid: session for session in sessions}, [], QUIET)
    assert (accounts.asked, accounts.warm, accounts.cold, accounts.rehanded) == (5, 1, 1, 1)
    assert (accounts.given_back, accounts.refused, accounts.failed, accounts.lost) == (1, 1, 1, 0)
    assert not accounts.hold


def test_a_session_that_is_nowhere_or_never_ended_is_lost():
    nowhere, hanging = _answer(), _answer()
    session = _session(hanging, status="active", ended=None, reason="")
    accounts = settle([nowhere, hanging], {session.uuid: session}, [], QUIET)
    assert (accounts.lost, accounts.hold) == (2, False)


def test_a_process_for_two_sessions_a_room_for_two_and_a_bot_put_out_are_doubles():
    answers = [_answer(), _answer()]
    sessions = {a.session: _session(a, room="one") for a in answers if a.session}
    said = [("s1", "agent"), ("s2", "agent"), ("s2", "agent")]
    accounts = settle(answers, sessions, said, {"rate_limited": 0, "ejected": {"duplicate-user-id": 1}})
    assert accounts.double == 3


def test_a_time_is_held_to_its_limit_on_an_idle_machine_and_to_its_bound_on_a_starved_one():
    late = times(5, "reaped", [9.0, 16.0], limit=15.0, starved=60.0)
    assert not late.judged(idle=True).holds
    assert late.judged(idle=False).holds and late.verdict == "1 of 2 LATE"
    for idle in (True, False):
        assert times(5, "reaped", [9.0], limit=15.0).judged(idle=idle).verdict == "holds"
        assert not times(5, "reaped", [61.0], limit=15.0, starved=60.0).judged(idle=idle).holds
        assert not times(5, "reaped", [], limit=15.0).judged(idle=idle).holds, "no sample proves nothing"

"""Pre-joined pairs: the bot has joined before anybody wants it; stock until the claim, a call from then on."""

import contextlib
import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from pools.api.timeline import TimelineSerializer
from pools.daily.account import DailyAccess
from pools.dashboard.starts import causes, last_day, last_hour
from pools.models import AgentProcess, PoolSample, Room, SessionStatus, VoiceSession
from pools.operators import version_numbers
from pools.processes.prejoined_pairs import PrejoinedPairs
from pools.sessions.claims import RoomNeeded, SessionRequest, claim
from pools.sessions.end_reasons import PREJOINED_PAIR_LOST
from pools.sessions.ending import (
    ENDED_BY_OPERATOR,
    Result,
    ask_to_end,
    end_session,
    end_unclaimed,
    hand_off_failed,
)
from pools.sessions.history import SessionHistory
from pools.sessions.start import Claimed, hand_out
from pools.sizing.recorded import read_recorded
from pools.status import fleet_metrics
from pools.status.sampling import take_sample
from pools.status.state import read_state
from tests.support.make import make_agent_process, make_daily_account, make_pod, make_room
from tests.support.played_agents import SIGNER, PlayedPod
from tests.support.service import run_until, supervisor_config
from tests.support.session_owner import ends_are_told_to

LIFE = timedelta(seconds=1800)
PREJOINER = """
import asyncio
from pools.agent import claimed_body, report
from pools.agent.sandbox_room import current_room
PREJOIN = True
async def bot(runner_args):
    assert runner_args.body == {} and runner_args.pipeline_idle_timeout_secs is None
    body = await claimed_body(runner_args)
    left = asyncio.Event()
    current_room().subscribe(lambda event, participant: left.set() if event == "left" else None)
    await left.wait()
    report(outcome=body["payload"]["word"])
"""


def make_prejoined_pair(**values) -> VoiceSession:
    pod = values.pop("pod", None) or make_pod()
    life = values.pop("life", 5400)
    return VoiceSession.objects.create(
        room=make_room("in_use", pod=pod, life=life),
        agent_process=make_agent_process(pod, "in_use"),
        **{
            "status": SessionStatus.ACTIVE,
            "active_at": "2026-01-01T00:00Z",
            "bot_joined_at": "2026-01-01T00:00Z",
            "start_kind": "prejoined",
            "unclaimed": True,
            **values,
        },
    )


def claimed(prejoined: bool = True) -> VoiceSession:
    with transaction.atomic():
        return claim(SessionRequest(body={"payload": {}}, life=LIFE, prejoined=prejoined))


def stock() -> list[tuple[int, int, int]]:
    """Available, warming, in use, of both kinds, as the status has them; the metrics say the same."""
    state, numbers = read_state(), fleet_metrics.read()
    pools = {"agents": state.agents, "rooms": state.rooms}
    told = [(pool.available, pool.warming, pool.in_use) for pool in pools.values()]
    assert told == [
        tuple(numbers[f"{pool}_{what}", ""] for what in ("available", "warming", "in_use")) for pool in pools
    ]
    return told


def kept() -> list[tuple[int, int]]:
    """Target and cap of both kinds: pre-joined pairs come on top of them. The metrics say the same."""
    state, numbers = read_state(), fleet_metrics.read()
    pools = {"agents": state.agents, "rooms": state.rooms}
    told = [(pool.pool_size, pool.cap) for pool in pools.values()]
    assert told == [tuple(numbers[f"{pool}_{what}", ""] for what in ("target", "cap")) for pool in pools]
    return told


@pytest.mark.django_db
def test_a_prejoined_pair_is_stock_until_it_is_claimed_and_no_call():
    make_daily_account()
    pod = make_pod()
    make_prejoined_pair(pod=pod, bot_joined_at=None), make_prejoined_pair(pod=pod)
    assert stock() == [(1, 1, 0), (1, 1, 0)]
    assert read_state().agents.prejoined == 1 and fleet_metrics.read()["active_calls", ""] == 0
    assert kept() == [(pod.agent_target + 2, pod.agent_cap + 2), (pod.room_target + 2, pod.room_cap + 2)]
    assert fleet_metrics.read().get(("starts", "prejoined"), 0) == 0
    told = io.StringIO()
    with contextlib.suppress(SystemExit):  # the pools are not full
        call_command("pools", "status", stdout=told)
    assert "Pre-joined pairs in stock: 1" in told.getvalue()
    claimed()
    assert stock() == [(0, 1, 1), (0, 1, 1)]
    assert kept() == [(pod.agent_target + 1, pod.agent_cap + 1), (pod.room_target + 1, pod.room_cap + 1)]
    assert fleet_metrics.read()["active_calls", ""] == 1 and fleet_metrics.read()["starts", "prejoined"] == 1


def nobody(session: VoiceSession) -> None:
    pytest.fail(f"{session} was no call")


def let_ten_seconds_pass() -> None:
    for rows, name in ((PoolSample.objects, "at"), (VoiceSession.objects, "created_at")):
        rows.update(**{name: F(name) - timedelta(seconds=10)})


@pytest.mark.django_db
def test_a_prejoined_start_is_in_one_sample_however_long_the_pair_has_waited_and_is_no_miss():
    pod = make_pod()
    make_prejoined_pair(pod=pod), make_prejoined_pair(pod=pod), make_prejoined_pair(pod=pod)
    begun = timezone.now()
    for _ in range(3):  # their keys are those of an interval that has been counted
        take_sample()
        let_ten_seconds_pass()
    session = claimed()
    with ends_are_told_to(nobody):
        end_unclaimed(VoiceSession.objects.filter(pk=session.pk + 1), "prejoined_pair_given_up")
    assert (last_hour().starts.warm, last_day().starts.warm) == (1, 1)
    for _ in range(3):
        let_ten_seconds_pass()
        take_sample()
    assert [sample.warm for sample in PoolSample.objects.order_by("id")] == [0, 0, 0, 0, 1, 0]
    assert (last_hour().starts.warm, last_day().starts.warm) == (1, 1)
    assert last_hour().starts.total == last_day().starts.total == 1
    assert causes() == []
    versions = version_numbers.read(5)
    assert sum(version.prejoined for version in versions) == sum(version.starts for version in versions) == 1
    recorded = read_recorded(begun - timedelta(hours=1), timezone.now() + timedelta(hours=1))
    assert (len(recorded.arrivals), recorded.hit_rate) == (1, 1)
    answer = TimelineSerializer(data=SessionHistory.read(session.uuid).as_json())
    assert answer.is_valid(), answer.errors


@pytest.mark.django_db
def test_a_pair_that_an_operator_ends_unclaimed_was_no_call():
    prejoined = make_prejoined_pair()
    with ends_are_told_to(nobody):
        ask_to_end(prejoined.uuid, ENDED_BY_OPERATOR)
    prejoined.refresh_from_db()
    assert prejoined.stop_reason  # its pod ends it
    with ends_are_told_to(nobody):
        assert end_session(prejoined.pk, Result(ENDED_BY_OPERATOR))
    prejoined.refresh_from_db()
    assert prejoined.end_reason == "prejoined_pair_given_up"


@pytest.mark.django_db
def test_a_start_from_a_prejoined_pair_is_not_told_as_missed(caplog, settings):
    settings.DAILY_API_KEY = "k" * 64
    make_daily_account()
    make_prejoined_pair()
    with caplog.at_level("INFO", logger="pools.events"):
        hand_out(Claimed(claimed(), new=True), DailyAccess.read())
    assert "start_missed" not in caplog.text


@pytest.mark.django_db
def test_a_prejoined_pair_of_another_version_is_taken_before_daily_is_asked_for_a_room():
    prejoined = make_prejoined_pair(pod=make_pod(draws_from=0.0, draws_until=0.0))
    process = make_agent_process(make_pod())
    assert claimed().pk == prejoined.pk
    process.refresh_from_db()
    assert (process.status, process.in_use_at) == ("available", None)
    with pytest.raises(RoomNeeded):
        claimed()


@pytest.mark.django_db
def test_a_prejoined_pair_is_claimed_as_one_with_the_times_of_the_claim():
    prejoined = make_prejoined_pair()
    session = claimed()
    assert session.pk == prejoined.pk
    session.refresh_from_db()
    assert (session.unclaimed, session.body, session.start_kind) == (False, {"payload": {}}, "prejoined")
    assert session.created_at == session.active_at == session.bot_joined_at
    assert session.created_at.year > 2025 and session.created_at != prejoined.bot_joined_at


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"status": SessionStatus.ASSIGNED, "active_at": None},
        {"bot_joined_at": None},
        {"life": 900},
        {"stop_reason": "ended_by_operator"},
        {"unclaimed": False},
    ],
    ids=["not acknowledged", "not joined", "room too old", "to be stopped", "claimed"],
)
def test_only_a_pair_that_is_ready_is_claimed_prejoined(values):
    make_prejoined_pair(**values)
    pod = make_pod()
    process, room = make_agent_process(pod), make_room(pod=pod)
    session = claimed()
    assert (session.agent_process_id, session.room_id, session.start_kind) == (process.pk, room.pk, "warm")


@pytest.mark.django_db
def test_where_we_cannot_sign_a_token_the_room_has_to_have_one():
    for stored, kind in ((False, "warm"), (True, "prejoined")):
        room = make_prejoined_pair().room
        if stored:
            Room.objects.filter(pk=room.pk).update(tokens_expire_at=room.expires_at, guest_token="t")
        make_agent_process(make_pod()), make_room(tokens_expire_at=room.expires_at, guest_token="t")
        with transaction.atomic():
            session = claim(SessionRequest(body={}, life=LIFE, prejoined=True, stored_tokens=True))
        assert (session.start_kind, session.room.guest_token) == (kind, "t")


@pytest.mark.django_db
@pytest.mark.parametrize("signer", [None, SIGNER], ids=["not signed", "signed"])
def test_a_room_whose_tokens_cannot_be_had_is_not_made_prejoined(tmp_path, signer):
    pod = PlayedPod(supervisor_config(tmp_path, agent_target=1, room_target=0, prejoin=1))
    make_room()
    for now in range(2):
        pod.turn(float(now))
        for played in pod.zygote.agents:
            played.act()
    for agent in pod.pool.agents.values():
        assert agent.ready
        agent.ready.warm["prejoin"] = True
    made = PrejoinedPairs(pod.config, pod.row, pod.pool, lambda: signer).replenish(2.0)
    pod.crash()
    assert made == VoiceSession.objects.exists() == (signer is not None)


@pytest.mark.django_db
@pytest.mark.parametrize("pod", [{"draining": True}, {"silent_for": 4}], ids=["draining", "silent"])
def test_a_prejoined_pair_of_a_pod_that_takes_nothing_is_left(pod):
    make_prejoined_pair(pod=make_pod(**pod))
    make_agent_process(make_pod()), make_room()
    assert claimed().start_kind == "warm"


@pytest.mark.django_db
def test_without_prejoined_pairs_the_claim_is_as_many_statements_as_before(django_assert_num_queries):
    make_prejoined_pair()
    make_agent_process(make_pod()), make_room()
    with django_assert_num_queries(4), transaction.atomic():  # savepoint, the claim's two, release
        assert claim(SessionRequest(body={}, life=LIFE)).start_kind == "warm"


@pytest.mark.django_db
def test_a_pair_that_nobody_claimed_ends_without_having_been_a_call():
    prejoined = make_prejoined_pair()
    with ends_are_told_to(nobody):
        assert end_unclaimed(VoiceSession.objects.all(), "prejoined_pair_given_up") == [prejoined.pk]
    prejoined.refresh_from_db()
    assert (prejoined.status, prejoined.end_reason, prejoined.unclaimed) == ("ended", "prejoined_pair_given_up", False)
    assert Room.objects.get().status == "ended"


@pytest.mark.django_db
def test_the_death_of_an_unclaimed_pair_hands_nothing_on_and_that_of_a_claimed_one_does():
    lost, called = make_prejoined_pair(), make_prejoined_pair(unclaimed=False)
    assert hand_off_failed(lost.pk, 1, "it died")
    assert hand_off_failed(called.pk, 1, "it died")
    lost.refresh_from_db()
    called.refresh_from_db()
    assert (lost.status, lost.end_reason, called.status) == ("ended", PREJOINED_PAIR_LOST, "waiting")
    assert called.bot_joined_at is None, "should its next pod be lost too, nobody would hand it on"


def test_a_pod_keeps_prejoined_pairs_which_are_stock_until_they_are_claimed_and_then_get_their_body(
    pods, sandbox, tmp_path
):
    (tmp_path / "prejoiner.py").write_text(PREJOINER)
    pod = pods.start(agent_target=1, room_target=1, prejoin=1, bot="prejoiner", bot_dir=tmp_path)
    run_until(pod, lambda: VoiceSession.objects.unclaimed().filter(bot_joined_at__isnull=False).exists())
    prejoined = VoiceSession.objects.get()
    assert [person["owner"] for person in sandbox.participants(prejoined.room.name)] == [True]
    with transaction.atomic():
        session = claim(SessionRequest(body={"payload": {"word": "HOT"}}, life=LIFE, prejoined=True))
    assert session.pk == prejoined.pk
    token = sandbox.token(prejoined.room.name, user_id="caller")
    caller = sandbox.join(prejoined.room.name, token)
    run_until(pod, lambda: VoiceSession.objects.get(pk=prejoined.pk).caller_joined_at)
    sandbox.leave(prejoined.room.name, caller)
    run_until(pod, lambda: VoiceSession.objects.get(pk=prejoined.pk).status == SessionStatus.ENDED)
    assert VoiceSession.objects.get(pk=prejoined.pk).outcome == "HOT"
    run_until(pod, lambda: VoiceSession.objects.unclaimed().filter(bot_joined_at__isnull=False).exists())

    pod.drain(20)
    run_until(pod, lambda: pod.finished)
    assert not VoiceSession.objects.current().exists() and not AgentProcess.objects.current().exists()

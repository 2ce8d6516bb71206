"""Roll-outs: versions get their shares, a call never suffers for it, and one word takes it back."""

import json
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cockpit.verbs import VERBS
from pools import shares
from pools.models import AgentProcess, OperatorAct, Pod, Rollout, VersionTally, VoiceSession
from pools.operators import rollout, version_numbers
from pools.operators.rollout import RolloutRefused, live_versions, roll_back, roll_out
from pools.processes.preference import left_to_others
from pools.sessions import taking
from pools.sessions.claims import PoolExhausted, SessionRequest, claim
from pools.sessions.ending import Result, end_session, hand_off_failed
from pools.status import version_metrics
from tests.make import make_agent_process, make_pod, make_room, make_session
from tests.properties import REPEATABLE
from tests.service import connect_lead, run_until
from tests.test_claims import in_threads
from tests.test_hot_pairs import make_hot_pair
from tests.test_pools_command import pools as pools_command
from tests.test_supervisor_pods import together

REQUEST = SessionRequest(body={}, life=timedelta(minutes=30))
NEW, OLD = "2.3", "2.2"
ONE_IN_A_BILLION = 6.2  # standard deviations: beyond them is less than 1 in 10^9, both tails together


def claimed(request: SessionRequest = REQUEST) -> VoiceSession:
    with transaction.atomic():
        return claim(request)


def two_versions(stock: int = 1) -> tuple[Pod, Pod]:
    """A pod of the new version, which has fewer free slots, and one of the old."""
    new, old = make_pod(version=NEW, free_slots=3), make_pod(version=OLD, free_slots=20)
    for pod in (new, old):
        for _ in range(stock):
            make_agent_process(pod), make_room()
    return new, old


def version_of(session: VoiceSession) -> str:
    return session.agent_process.pod.version if session.agent_process else ""


def nothing(session: VoiceSession) -> None:
    """No lead wants to know."""


# --- the arithmetic ----------------------------------------------------------------------------------------

TWO_DECIMALS = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)


@st.composite
def some_shares(draw: Any) -> shares.Shares:
    """One to five versions, together at most 100 %."""
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=5)))
    parts = [(high - low) / 100 for low, high in zip([0, *cuts], cuts, strict=False)]
    return {f"v{number}": part for number, part in enumerate(parts)}


@REPEATABLE
@given(some_shares(), st.floats(0, 1, exclude_max=True))
def test_each_number_prefers_one_version_or_the_rest_and_never_two(wanted, number):
    preferred = [
        version for version in [*wanted, "another"] if shares.prefers(number, shares.interval(version, wanted))
    ]
    assert len(preferred) == 1


@REPEATABLE
@given(some_shares())
def test_an_interval_is_as_long_as_the_share_and_words_are_read_back(wanted):
    for version, percent in wanted.items():
        low, high = shares.interval(version, wanted) or (0, 0)
        assert high - low == pytest.approx(percent / 100, abs=1e-9)
    assert shares.parse([f"{version}={percent:.2f}%" for version, percent in wanted.items()]) == wanted


def test_the_numbers_of_sessions_are_spread_evenly():
    """Each tenth gets its tenth; 6.6 deviations because there are ten chances to be off."""
    number = 30_000
    tenths = Counter(int(shares.draw(uuid.uuid4()) * 10) for _ in range(number))
    deviation = (number * 0.1 * 0.9) ** 0.5
    assert all(abs(tenths[tenth] - number / 10) < 6.6 * deviation for tenth in range(10)), tenths


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["2.3=101"], "a share is a number from 0 to 100"),
        (["2.3=-1"], "a share is a number from 0 to 100"),
        (["2.3=many"], "a share is a number from 0 to 100"),
        (["2.3=1e1"], "a share is a number from 0 to 100"),
        (["2.3="], "a share is a number from 0 to 100"),
        (["=10"], "names no version"),
        (["2.3=10", "2.3=20"], "named twice"),
        (["2.3=60%", "2.2=60%"], "together the shares are 120 %"),
        (["x" * 101], "at most 100 characters"),
    ],
)
def test_shares_that_cannot_be_are_refused_with_what_can(words, problem):
    with pytest.raises(shares.BadShares, match=problem):
        shares.parse(words)


def test_shares_in_the_words_of_people():
    assert shares.parse(["2.3=10%", "a=b = 2.5"]) == {"2.3": 10.0, "a=b": 2.5}
    assert shares.parse(["2.3"]) == {"2.3": 100.0}
    assert shares.in_words({"2.3": 10.0, "2.2": 0.5}) == "2.3 10 %, 2.2 0.5 %, the others 89.5 %"
    assert shares.in_words({"2.3": 100.0}) == "2.3 100 %"


# --- claims ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_shares_converge_though_the_new_version_has_the_fewest_slots():
    number, percent = 1000, 30
    new, old = two_versions(stock=0)
    for pod in (new, old):
        AgentProcess.objects.bulk_create(
            AgentProcess(pod=pod, status="available", os_pid=4_000_000 + i, available_at=timezone.now())
            for i in range(number)
        )
    roll_out({NEW: percent}, by="ann")
    for _ in range(number):
        assert taking.take_process(shares.draw(uuid.uuid4()))
    taken = AgentProcess.objects.in_use().filter(pod=new).count()
    deviation = (number * 0.3 * 0.7) ** 0.5
    assert abs(taken - number * 0.3) < ONE_IN_A_BILLION * deviation, taken


@pytest.mark.django_db
def test_without_a_roll_out_calls_go_where_the_free_slots_are():
    two_versions(stock=3)
    assert [version_of(claimed()) for _ in range(3)] == [OLD] * 3


@pytest.mark.django_db
def test_a_version_that_is_out_of_stock_refuses_nobody():
    two_versions(stock=2)
    roll_out({NEW: 100}, by="ann")
    assert [version_of(claimed()) for _ in range(4)] == [NEW, NEW, OLD, OLD]
    make_room()
    assert claimed().status == "waiting"


@pytest.mark.django_db
def test_a_version_without_a_share_is_taken_last():
    two_versions(stock=2)
    roll_out({OLD: 0}, by="ann")
    assert [version_of(claimed()) for _ in range(4)] == [NEW, NEW, OLD, OLD]


@pytest.mark.django_db
def test_rolling_back_goes_to_what_stood_before_step_by_step():
    new, old = two_versions(stock=0)

    def preferred() -> str:
        process = make_agent_process(new), make_agent_process(old)
        taken = taking.take_process(0.5)
        AgentProcess.objects.filter(pk__in=[each.pk for each in process]).delete()
        return NEW if taken == process[0].pk else OLD

    assert preferred() == OLD  # by its free slots
    roll_out({NEW: 60}, by="ann")
    roll_out({NEW: 100}, by="ann")
    roll_out({OLD: 100}, by="ben")
    assert preferred() == OLD
    taken_back = roll_back(by="eve")
    assert taken_back is not None and taken_back.shares == {OLD: 100}
    assert preferred() == NEW and str(rollout.standing()) == "2.3 100 %"
    roll_back(by="eve")
    assert str(rollout.standing()) == "2.3 60 %, the others 40 %"
    roll_back(by="eve")
    assert rollout.standing() is None and preferred() == OLD
    assert roll_back(by="eve") is None
    assert not Pod.objects.filter(draws_from__isnull=False).exists()
    assert OperatorAct.objects.filter(by="eve", what__startswith="roll back: ").count() == 3


@pytest.mark.django_db
def test_off_is_a_roll_out_that_can_be_taken_back():
    new, _ = two_versions()
    roll_out({NEW: 100}, by="ann")
    roll_out({}, by="ann")
    new.refresh_from_db()
    assert new.draws_from is None
    roll_back(by="ann")
    new.refresh_from_db()
    assert (new.draws_from, new.draws_until) == (0, 1)


@pytest.mark.django_db
def test_a_version_that_no_live_pod_runs_is_refused_unless_it_is_said_ahead():
    two_versions(), make_pod(version="2.1", silent_for=60), make_pod(version="")
    with pytest.raises(RolloutRefused, match=r"version 2\.1; live: \(pods without a version\), 2\.2, 2\.3"):
        roll_out({"2.1": 10}, by="ann")
    assert not Rollout.objects.exists()
    roll_out({"2.4": 0}, by="ann", ahead=True)
    assert rollout.draws_of("2.4") == {"draws_from": 0.0, "draws_until": 0.0}
    assert rollout.draws_of("2.2") == {"draws_from": 0.0, "draws_until": 1.0}


@pytest.mark.django_db
def test_a_claim_costs_the_same_statements_with_a_roll_out():
    two_versions()
    roll_out({NEW: 100}, by="ann")
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        claim(REQUEST)
    assert len(queries) == 1


@pytest.mark.django_db(transaction=True)
def test_a_pod_that_starts_has_what_stands_from_its_first_moment(pods):
    make_pod(version=OLD)
    roll_out({OLD: 25}, by="ann")
    started = pods.start().pod
    assert (started.draws_from, started.draws_until) == (0.25, 1.0)


# --- hot pairs and sessions that wait ----------------------------------------------------------------------


@pytest.mark.django_db
def test_a_hot_pair_of_another_version_is_taken_only_before_nothing():
    new, old = two_versions(stock=0)
    hot = make_hot_pair(pod=old)
    make_agent_process(new), make_room()
    roll_out({NEW: 100}, by="ann")
    request = SessionRequest(body={}, life=timedelta(minutes=30), hot=True)
    assert version_of(claimed(request)) == NEW
    assert claimed(request).pk == hot.pk


@pytest.mark.django_db
def test_a_waiting_session_is_left_to_a_pod_of_its_version_that_has_a_slot_for_a_moment():
    new, old = two_versions(stock=0)
    session = make_session("waiting")
    assert left_to_others(old, [session]) == set()  # no roll-out
    roll_out({NEW: 100}, by="ann")
    assert left_to_others(old, [session]) == {session.pk}
    assert left_to_others(new, [session]) == set()
    Pod.objects.filter(pk=new.pk).update(free_slots=0)
    assert left_to_others(old, [session]) == set()
    Pod.objects.filter(pk=new.pk).update(free_slots=3, agent_trouble="no bot")
    assert left_to_others(old, [session]) == set()
    Pod.objects.filter(pk=new.pk).update(agent_trouble="")
    again = make_session("waiting", attempt=2)
    long_ago = make_session("waiting", created_at=timezone.now() - timedelta(seconds=5))
    assert left_to_others(old, [again, long_ago]) == set()


@pytest.mark.django_db(transaction=True)
def test_pods_of_two_versions_obey_from_stock_and_on_demand(pods, sandbox):
    old, new = (pods.start_full(version=version, agent_target=1, room_target=4) for version in (OLD, NEW))
    roll_out({NEW: 100}, by="ann")
    first = connect_lead(sandbox)
    run_until(old, together(first.bot_has_joined, new))
    AgentProcess.objects.available().update(status="ended", ended_at=timezone.now())  # nothing in stock
    second = connect_lead(sandbox)
    soon = timezone.now() + timedelta(hours=1)  # this machine may be too slow for half a second
    VoiceSession.objects.waiting().update(created_at=soon)
    run_until(old, together(second.bot_has_joined, new))
    assert [call.process.version for call in (first, second)] == [NEW, NEW]
    assert (first.session.start_kind, second.session.start_kind) == ("warm", "partial")


# --- at once -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_claims_while_operators_and_pods_come_and_go_lose_nothing_and_pods_agree_at_the_end():
    new, old = make_pod(version=NEW, max_processes=200), make_pod(version=OLD, max_processes=200)
    for pod in (new, old):
        for _ in range(40):
            make_agent_process(pod), make_room()

    def race(turn: int) -> int:
        if turn == 0:
            for percent in (10, 50, 90, 0):
                roll_out({NEW: percent}, by="ann")
            return 0
        if turn == 1:
            for _ in range(2):
                roll_back(by="ben")
            return 0
        if turn == 2:
            for number in range(4):
                with transaction.atomic():
                    rollout.take_turn()
                    carried: dict[str, Any] = dict(rollout.draws_of(NEW))
                    make_pod(f"late-{number}", version=NEW, **carried)
            return 0
        taken = 0
        for _ in range(15):
            try:
                taken += claimed().agent_process_id is not None
            except PoolExhausted as refusal:
                raise AssertionError("refused because of a preference") from refusal
        return taken

    in_threads(7, race)
    used = AgentProcess.objects.in_use()
    assert used.count() == VoiceSession.objects.exclude(agent_process=None).count()
    assert VoiceSession.objects.count() == 60
    for version in (NEW, OLD):
        expected = rollout.draws_of(version)
        found = Pod.objects.filter(version=version).order_by().values("draws_from", "draws_until").distinct()
        assert list(found) == [expected]


# --- numbers -----------------------------------------------------------------------------------------------


def a_day_with_two_versions() -> None:
    now = timezone.now()
    new, old = two_versions(stock=0)
    for number in range(4):
        process = make_agent_process(new, "in_use", version=NEW)
        session = make_session(
            agent_process=process,
            start_kind="partial" if number == 0 else "warm",
            agent_miss="burst" if number == 0 else "",
        )
        VoiceSession.objects.filter(pk=session.pk).update(
            created_at=now - timedelta(seconds=60),
            bot_joined_at=now - timedelta(seconds=59.8),
            caller_joined_at=now - timedelta(seconds=50),
            first_audio_at=now - timedelta(seconds=49.5),
        )
        end_session(session.pk, Result("bot_error" if number == 1 else "caller_left"), nothing)
    broken = make_agent_process(new, "in_use", version=NEW)
    session = make_session("assigned", agent_process=broken)
    assert hand_off_failed(session.pk, 1, "died", nothing)
    process = make_agent_process(old, "in_use", version=OLD)
    VoiceSession.objects.filter(pk=session.pk).update(status="assigned", agent_process=process)
    end_session(session.pk, Result("caller_left"), nothing)
    make_hot_pair(pod=old)  # no call


@pytest.mark.django_db
def test_numbers_of_versions_stand_side_by_side():
    a_day_with_two_versions()
    roll_out({NEW: 10}, by="ann")
    old, new = version_numbers.read(minutes=60)
    assert (new.version, new.pods, new.wanted_percent, new.warm, new.partial) == (NEW, 1, 10, 3, 1)
    assert (new.agent_misses, new.ended, new.failed, new.failed_handoffs) == (1, 4, 1, 1)
    assert new.joined_p50_ms == pytest.approx(200) and new.first_audio_p95_ms == pytest.approx(500)
    assert (old.version, old.wanted_percent, old.starts, old.failed, old.failed_handoffs) == (OLD, 90, 1, 0, 0)
    assert version_numbers.read(minutes=0.5)[1].starts == 0


@pytest.mark.django_db
def test_metrics_by_version_count_what_has_ended_and_are_of_versions_that_run():
    a_day_with_two_versions()
    make_agent_process(Pod.objects.get(version=NEW))
    roll_out({NEW: 10}, by="ann")
    VersionTally.objects.create(version="1.0", start_kind="warm", shard=0, sessions=9)
    found = {
        (sample.name.removeprefix("breeze_buddy_version_"), *sample.labels.values()): sample.value
        for family in version_metrics.metrics(version_metrics.read())
        for sample in family.samples
    }
    assert found["sessions_ended_total", NEW, "warm"] == 3 and found["sessions_ended_total", NEW, "cold"] == 0
    assert found["failed_total", NEW] == found["failed_handoffs_total", NEW] == 1
    assert found["bots_joined_total", NEW] == 4
    assert found["bot_joined_seconds_total", NEW] == pytest.approx(0.8)
    assert found["first_audio_seconds_total", NEW] == pytest.approx(2.0)
    assert (found["pods", NEW], found["available", NEW], found["available", OLD]) == (1, 1, 0)
    assert (found["wanted_ratio", NEW], found["wanted_ratio", OLD]) == (0.1, 0.9)
    assert not any("1.0" in key for key in found)


@pytest.mark.django_db
def test_metrics_have_no_more_versions_than_are_readable():
    for number in range(version_metrics.MOST + 3):
        make_pod(version=f"build-{number}")
    assert len({row.version for row in version_metrics.read()}) == version_metrics.MOST


# --- the terminal ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_terminal_rolls_out_tells_and_rolls_back(capsys):
    two_versions()
    code, text, _ = pools_command(capsys, "rollout", "2.3=10%", "--why", "canary")
    assert code == 0 and text.startswith("Rolled out: 2.3 10 %, the others 90 %. Back: manage.py pools rollout --back")
    code, text, _ = pools_command(capsys, "rollout")
    assert code == 0 and text.startswith("Roll-out: 2.3 10 %, the others 90 %; by ") and "(canary)" in text
    assert [line.split()[:2] for line in text.splitlines()[-2:]] == [["2.2", "1"], ["2.3", "1"]]
    _, text, _ = pools_command(capsys, "rollout", "--json")
    told = json.loads(text)
    assert told["rollout"]["shares"] == {"2.3": 10.0}
    assert [(version["version"], version["wanted_percent"]) for version in told["versions"]] == [
        ("2.2", 90.0),
        ("2.3", 10.0),
    ]
    _, text, _ = pools_command(capsys, "status")
    assert "Roll-out: 2.3 10 %, the others 90 %, by " in text
    _, text, _ = pools_command(capsys, "status", "--json")
    assert json.loads(text)["rollout"]["words"] == "2.3 10 %, the others 90 %"
    code, text, _ = pools_command(capsys, "rollout", "--back")
    assert code == 0 and text.startswith("Rolled back: 2.3 10 %, the others 90 %. Now: no preference.")
    code, _, notes = pools_command(capsys, "rollout", "--back")
    assert code == 1 and "No roll-out stands" in notes


@pytest.mark.django_db
def test_the_terminal_refuses_what_cannot_be(capsys):
    two_versions()
    code, _, notes = pools_command(capsys, "rollout", "2.4=10%")
    assert code == 1 and "no live pod runs version 2.4; live: 2.2, 2.3" in notes
    for arguments, problem in (
        (["2.3=101%"], "from 0 to 100"),
        (["2.3=60", "2.2=60"], "together"),
        (["2.3=1", "--back"], "either shares"),
    ):
        with pytest.raises(CommandError, match=problem) as refusal:
            pools_command(capsys, "rollout", *arguments)
        assert refusal.value.returncode == 2
    assert live_versions() == {NEW: 1, OLD: 1} and not Rollout.objects.exists()


# --- the admin ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_admin_rolls_out_with_a_reason_and_back_after_a_question_and_both_are_in_the_log(admin_client):
    two_versions()
    page = reverse("admin:order", args=["roll-out"])
    assert "such as 2.3=10%" in admin_client.get(page).content.decode()
    refused = admin_client.post(page, {"shares": "2.4=10%", "reason": ""})
    assert "no live pod runs version 2.4; live: 2.2, 2.3" in refused.content.decode()
    refused = admin_client.post(page, {"shares": "2.3=60% 2.2=60%"})
    assert "together the shares are 120 %" in refused.content.decode() and not Rollout.objects.exists()
    admin_client.post(page, {"shares": "2.3=10%", "reason": "canary"})
    live = admin_client.get(reverse("admin:live")).json()
    assert (live["rollout"]["words"], live["rollout"]["by"]) == ("2.3 10 %, the others 90 %", "admin")
    assert [(version["version"], version["wanted_percent"]) for version in live["versions"]] == [
        (OLD, 90.0),
        (NEW, 10.0),
    ]
    listed = admin_client.get(reverse("admin:pools_rollout_changelist")).content.decode()
    assert "in force" in listed and "Versions of the bot" in listed
    back = live["rollout"]["back_url"]
    assert "Roll back 1 roll-out?" in admin_client.get(back).content.decode() and rollout.standing() is not None
    admin_client.post(back, {"reason": "it stutters"})
    assert rollout.standing() is None
    assert sorted(LogEntry.objects.values_list("change_message", flat=True)) == [
        "ordered: canary",
        "rolled back: it stutters",
    ]
    assert OperatorAct.objects.filter(by="admin").count() == 2


@pytest.mark.django_db
def test_only_the_roll_out_in_force_can_be_rolled_back(admin_client):
    two_versions()
    earlier, latest = roll_out({NEW: 10}, by="ann"), roll_out({NEW: 50}, by="ann")
    admin_client.post(VERBS["roll-back"].url([earlier.pk]))
    assert rollout.standing() == latest


@pytest.mark.django_db
def test_who_may_only_look_is_offered_neither_and_gets_neither(client):
    two_versions()
    made = roll_out({NEW: 10}, by="ann")
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)
    assert client.get(reverse("admin:live")).json()["rollout"]["back_url"] is None
    assert client.get(reverse("admin:order", args=["roll-out"])).status_code == 403
    assert client.post(VERBS["roll-back"].url([made.pk])).status_code == 403
    assert "Roll out a version" not in client.get(reverse("admin:pools_rollout_changelist")).content.decode()

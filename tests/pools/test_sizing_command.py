"""`manage.py pools size`, `simulate` and `reserve`: what they answer, and what they say to a wrong call."""

import json
import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError

from pools.models import PoolOverride
from pools.operators import overrides
from pools.sizing.recommendation import Conditions, Goal, OutOfReach, cost, recommend
from pools.sizing.recorded import read_recorded
from pools.terminal import quantities
from pools.terminal.screen import averages, curve, plot
from tests.pools.test_pools_command import pools
from tests.support.make import make_pod, make_session

pytestmark = pytest.mark.django_db
TIMES = ("--process-takes", "60ms", "--room-takes", "250ms")


# --- size --------------------------------------------------------------------------------------------------


def test_size_recommends_what_a_simulation_confirms_and_prices_the_next_nine(capsys):
    code, text, _ = pools(
        capsys,
        "size",
        "--arrivals",
        "2/s",
        "--pattern",
        "bursts",
        "--hit-rate",
        "99%",
        "--pods",
        "2",
        "--lasting",
        "20m",
        *TIMES,
    )
    assert code == 0
    found = re.search(r"Simulated with these sizes: ([\d.]+)%", text)
    assert found and float(found[1]) >= 98.5
    prices = [line.split() for line in text.splitlines() if re.match(r"9[\d.]* %", line)]
    assert [row[0] for row in prices] == ["90", "99", "99.9", "99.99"]
    processes, rooms = ([int(row[column]) for row in prices] for column in (2, 3))
    assert processes == sorted(processes) and rooms == sorted(rooms) and rooms[0] < rooms[-1]


def test_size_learns_from_recorded_sessions(capsys):
    now = datetime.now(UTC)
    pod = make_pod()
    for number in range(40):
        at = now - timedelta(seconds=600 - number // 10 * 100)
        make_session("ended", pod=pod, created_at=at, active_at=at + timedelta(seconds=0.03))
    _, text, _ = pools(capsys, "size", "--from-history", "1h", *TIMES)
    assert re.search(r"40 recorded sessions in 60\d s", text) and "a warm start 30 ms" in text
    assert "Bursts (1: none): 10.0" in text


def test_size_says_when_a_goal_is_out_of_reach_or_nobody_is_said_to_come(capsys):
    with pytest.raises(CommandError, match="even a start from stock takes 20 ms"):
        pools(capsys, "size", "--arrivals", "1/s", "--p99-under", "5ms")
    with pytest.raises(CommandError, match="who comes"):
        pools(capsys, "size")
    with pytest.raises(CommandError, match="nobody comes"):
        pools(capsys, "size", "--from-history", "1h")


def test_stock_is_recommended_only_for_what_would_be_too_late():
    conditions = Conditions(rate=2, agent_making=0.06, room_making=0.25, warm_start=0.02)
    patient = recommend(Goal(0.99, 1.0), conditions)
    assert (patient.agents, patient.rooms) == (1, 1)
    assert recommend(Goal(0.99, 0.1), conditions).agents == 1 < recommend(Goal(0.99, 0.1), conditions).rooms
    with pytest.raises(OutOfReach):
        recommend(Goal(0.99, 0.01), conditions)


def test_the_hit_rate_of_recommended_sizes_is_the_goal_and_each_nine_costs_more():
    conditions = Conditions(rate=5, agent_making=1.5, room_making=0.5, agent_peakedness=3, room_peakedness=2)
    sizes = [recommend(Goal(share), conditions) for share in (0.9, 0.99, 0.999)]
    assert all(found.hit_rate >= share for found, share in zip(sizes, (0.9, 0.99, 0.999), strict=True))
    assert sizes[0].agent_bytes < sizes[1].agent_bytes < sizes[2].agent_bytes
    assert cost(0, 10, conditions).room_minutes_a_day == 14_400


# --- simulate ----------------------------------------------------------------------------------------------

SIMULATE = ("simulate", "--arrivals", "1/s", "--lasting", "5m", "--max-processes", "300", *TIMES)


def test_simulate_plots_and_counts(capsys):
    code, text, _ = pools(capsys, *SIMULATE, "--pattern", "campaigns", "--processes", "2..20", "--rooms", "2..20")
    assert code == 0
    for title in ("callers a second", "agent processes in stock", "rooms in stock", "warm", "p99"):
        assert title in text
    assert re.search(r"[⠁-⣿]", text)


def test_simulate_for_programs_and_a_reservation_in_it(capsys):
    _, text, _ = pools(capsys, *SIMULATE, "--processes", "2..20", "--rooms", "2..20", "--reserve", "15@2m+1m", "--json")
    found = json.loads(text)
    samples = {round(sample["at"]): sample for sample in found["samples"]}
    assert samples[130]["agent_target"] == 15 and 0.9 < found["warm"] <= 1
    assert found["without_process"] + found["warm"] <= 1 and found["refused"] == 0


def test_who_finds_no_free_slot_is_refused_and_is_no_miss_of_the_pools(capsys):
    few = ("simulate", "--arrivals", "1/s", "--lasting", "5m", "--processes", "8", "--rooms", "30", *TIMES)
    _, text, _ = pools(capsys, *few, "--max-processes", "20")
    assert re.search(r"found no room +0\.00%", text) and "of them refused" in text
    advice = re.search(r"% refused: 20 processes a pod, .* try --max-processes (\d+)", text)
    assert advice
    _, text, _ = pools(capsys, *few, "--max-processes", advice[1])
    assert re.search(r"refused \(no free slot\) +0\.00%", text) and "try --max-processes" not in text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--arrivals", "fast"), "not a rate such as"),
        (("--arrivals", "1/s", "--processes", "9..3"), "not a size such as"),
        (("--arrivals", "1/s", "--reserve", "60"), "not a reservation such as"),
        (("--arrivals", "1/s", "--lasting", "5"), "not a duration such as"),
        (("--arrivals", "1/s", "--hit-rate", "100%"), "not a share from"),
        (("--arrivals", "1/s", "--pods", "0"), "not a whole number"),
        (("--arrivals", "1/s", "--from-history"), "either --arrivals or --from-history"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_what_can(capsys, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        pools(capsys, "simulate", *arguments)


# --- reserve -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_reserve_list_and_cancel(capsys):
    make_pod(agent_cap=60, room_cap=60, max_processes=99)
    code, text, _ = pools(capsys, "reserve", "60", "--at", "+10m", "--for", "20m", "--why", "campaign")
    override = PoolOverride.objects.get()
    assert code == 0 and f"reserve --cancel {override.uuid}" in text
    assert override.ends_at and override.ends_at - override.starts_at == timedelta(minutes=20)
    assert "campaign" in pools(capsys, "reserve", "--list")[1]
    assert pools(capsys, "reserve", "--cancel", str(override.uuid))[0] == 0
    assert pools(capsys, "reserve", "--cancel", str(override.uuid))[0] == 1
    assert "Nothing is reserved" in pools(capsys, "reserve", "--list")[1]


@pytest.mark.django_db(transaction=True)
def test_reserve_refuses_what_cannot_be_held_unless_it_may_be_short(capsys):
    make_pod(agent_cap=3, room_cap=5)
    code, _, notes = pools(capsys, "reserve", "60", "--for", "20m")
    assert code == 1 and "short by 57" in notes
    code, _, notes = pools(capsys, "reserve", "60", "--for", "20m", "--allow-short")
    assert code == 0 and "short by 57" in notes and "reserved already" not in notes


def test_reserve_says_what_is_missing(capsys):
    with pytest.raises(CommandError, match="how many pairs"):
        pools(capsys, "reserve")
    with pytest.raises(CommandError, match="until when"):
        pools(capsys, "reserve", "5")
    with pytest.raises(CommandError, match="not a moment such as"):
        pools(capsys, "reserve", "5", "--at", "25:00", "--for", "5m")
    with pytest.raises(CommandError, match="99999999h is too long: at most a year"):
        pools(capsys, "reserve", "5", "--for", "99999999h")
    with pytest.raises(CommandError, match="too far away"):
        pools(capsys, "reserve", "5", "--at", "9999-12-31T23:59", "--for", "5m")


# --- what people type --------------------------------------------------------------------------------------


def test_moments():
    now = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    assert quantities.moment("10:00", now) == datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert quantities.moment("09:00", now) == datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    assert quantities.moment("+20m", now) == now + timedelta(minutes=20)
    assert quantities.moment("2026-11-24T10:00+05:30", now) == datetime(2026, 11, 24, 4, 30, tzinfo=UTC)
    assert quantities.moment("2026-11-24T10:00", now).tzinfo is UTC


@pytest.mark.parametrize(("text", "value"), [("2/s", 2.0), ("120/min", 2.0), ("7200/h", 2.0), ("0.5 / s", 0.5)])
def test_rates(text, value):
    assert quantities.rate(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "2", "0/s", "-1/s", "2/y", "nan/s"])
def test_what_is_no_rate(text):
    with pytest.raises(ArgumentTypeError):
        quantities.rate(text)


def test_a_curve_has_its_size_and_shows_what_is_there():
    assert averages([1, 3, 5, 7], 2) == [2, 6] and averages([4], 3) == [4, 4, 4] and averages([], 2) == [0, 0]
    lines = curve([0, 0, 1, 1], width=2, height=1)
    assert lines == ["⠀⣿"]
    assert len(plot("stock", list(range(100)), width=40, height=5).splitlines()) == 6


def test_history_of_a_quiet_time_is_empty():
    now = datetime.now(UTC)
    found = read_recorded(now - timedelta(hours=1), now)
    assert found.arrivals == [] and found.hit_rate is None and found.rate == 0
    assert overrides.shortage(0, now, now + timedelta(hours=1)) == ""

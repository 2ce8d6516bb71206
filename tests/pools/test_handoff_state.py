"""The state machine of a hand-off, by itself: which transitions it takes, and when the deadline of a stage runs."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from pools.processes.handoff_state import Handoff, Stage
from pools.protocol import Ended, Joined, Started
from tests.support.properties import REPEATABLE

CLAIMED_AT = datetime(2026, 1, 2, tzinfo=UTC)
TRANSITIONS: dict[str, Callable[[Handoff, float], object]] = {
    "start": lambda handoff, now: handoff.start_written(now),
    "acknowledged": lambda handoff, now: handoff.acknowledged(Started("a", 1), now),
    "acknowledged by another attempt": lambda handoff, now: handoff.acknowledged(Started("a", 2), now),
    "go": lambda handoff, now: handoff.go_written(now),
    "joined": lambda handoff, now: handoff.progressed(Joined("a")),
    "stop": lambda handoff, now: handoff.stop_asked(f"asked at {now}", now),
    "reported": lambda handoff, now: handoff.reported(Ended("a", f"reported at {now}"), now),
    "settled": lambda handoff, now: handoff.settled(now),
    "late": lambda handoff, now: handoff.restart_deadline(now),
}


def after(*names: str) -> Handoff:
    """One transition a second."""
    handoff = Handoff(1, "a", 1, CLAIMED_AT)
    for second, name in enumerate(names, start=1):
        TRANSITIONS[name](handoff, float(second))
    return handoff


@settings(REPEATABLE, max_examples=300)
@given(st.lists(st.sampled_from(sorted(TRANSITIONS)), max_size=15))
def test_whatever_happens_a_hand_off_only_moves_to_the_right_and_keeps_what_came_first(names):
    handoff = Handoff(1, "a", 1, CLAIMED_AT)
    stage, kept = handoff.stage, (handoff.went_at, handoff.report, handoff.stop_reason)
    for second, name in enumerate(names, start=1):
        TRANSITIONS[name](handoff, float(second))
        assert handoff.stage >= stage
        now_kept = handoff.went_at, handoff.report, handoff.stop_reason
        assert all(new == old for new, old in zip(now_kept, kept, strict=True) if old)
        stage, kept = handoff.stage, now_kept
    assert handoff.stage is not Stage.ACKNOWLEDGED or "acknowledged" in names
    assert (handoff.report is not None) == ("reported" in names)
    assert handoff.joined == ("joined" in names)


def test_an_acknowledgement_of_another_attempt_does_not_count():
    assert after("start", "acknowledged by another attempt").stage is Stage.STARTED
    assert after("acknowledged").stage is Stage.BOUND
    assert after("start", "acknowledged").stage is Stage.ACKNOWLEDGED


def test_only_the_deadline_of_an_acknowledgement_starts_again_when_we_were_late():
    assert after("start", "late").since == 2.0
    assert after("start", "acknowledged", "go", "stop", "late").since == 4.0


def test_a_process_is_told_to_stop_once_and_not_after_its_report():
    handoff = after("start", "acknowledged", "go")
    assert handoff.stop_asked("pod_stopped", 4.0) and not handoff.stop_asked("ended_by_operator", 5.0)
    assert (handoff.stop_reason, handoff.since) == ("pod_stopped", 4.0)
    assert not after("start", "acknowledged", "go", "reported").stop_asked("pod_stopped", 5.0)


def test_the_time_to_exit_runs_from_the_report_whether_it_comes_before_or_after_the_end_is_written():
    assert after("start", "acknowledged", "go", "reported", "settled").since == 4.0
    assert after("start", "acknowledged", "go", "settled").since == 4.0
    assert after("start", "acknowledged", "go", "settled", "reported").since == 5.0

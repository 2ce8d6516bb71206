"""What a load run says of its figures, and when it says that they do not hold."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.programs import PROJECT
from trials.load.attack import Row, holds, in_words
from trials.load.dial import Figures, Phase, WebCallers, most_within

WEB = WebCallers(connects=50, refused=0, p50_ms=9, p95_ms=20, p99_ms=31, starts={"warm": 49, "partial": 1})
PHASE = Phase("at Daily's rate", 300, 1.5, 345.0, 0.87, 5, 5, 12, WEB)
GOOD = Figures(
    pushed=300,
    push_seconds=1.5,
    phases=[PHASE],
    outcomes={"BUSY": 100, "NO_ANSWER": 199, "UNKNOWN": 1},
    dialled=299,
    dialled_twice=0,
    rate_limited=0,
    unfinished=0,
)


def test_figures_that_hold():
    assert GOOD.holds and GOOD.as_json()["phases"][0]["web"]["starts"] == {"warm": 49, "partial": 1}
    assert GOOD.in_words().endswith("holds") and "DOES NOT" not in GOOD.in_words()


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, unfinished=1),
        replace(GOOD, dialled_twice=1),
        replace(GOOD, dialled=298),
        replace(GOOD, rate_limited=1),
        replace(GOOD, phases=[replace(PHASE, most_calls_at_once=GOOD.concurrency + 1)]),
        replace(GOOD, phases=[replace(PHASE, web=replace(WEB, refused=1))]),
        replace(GOOD, phases=[replace(PHASE, web=replace(WEB, connects=0))]),
    ],
)
def test_figures_that_do_not(bad):
    assert not bad.holds and "DOES NOT HOLD" in bad.in_words()


@pytest.mark.parametrize(
    ("times", "most"), [([], 0), ([0.0], 1), ([0, 1, 2, 3, 4, 5], 5), ([0, 0, 0, 9, 9], 3), ([0, 4.9, 5.0], 2)]
)
def test_the_most_within_a_span(times, most):
    assert most_within(times, 5.0) == most


def test_help_says_what_there_is():
    command = [sys.executable, "-m", "trials", "load", "dial", "--help"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert shown.returncode == 0 and "--at-dailys-rate" in shown.stdout


def test_an_attack_fails_if_health_is_slow_or_stays_unanswered():
    idle = Row("idle", [0.004] * 100, {})
    assert holds([idle, Row("bearable", [0.02] * 98 + [0.04] * 2, {})])
    assert not holds([idle, Row("slow", [0.004] * 90 + [0.06] * 10, {})])
    assert not holds([idle, Row("unanswered", [0.004] * 99 + [None], {})])
    assert "unanswered" in in_words([idle])

"""The played agent processes of `make bench-scale`, and its arithmetic; the run itself is too long for a test."""

import subprocess
import sys
import uuid
from pathlib import Path

from pools.agent.channel import AgentChannel
from pools.protocol import Ended, Go, Joined, Message, Ping, Pong, Ready, Start, Started, Stop
from tests.support.waiting import wait_until
from trials.figures import percentile_of
from trials.scale.database import Load
from trials.scale.fleet import _claims
from trials.scale.report import Figures
from trials.scale.stubs import StubAgents

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_played_agent_does_what_a_real_one_says_it_does():
    channel = StubAgents(call_s=0.01).start(str(uuid.uuid4()))
    said = Said(channel)

    assert said.next() == Ready(pid=channel.pid or 0, version="")
    channel.send(Ping(3))
    assert said.next() == Pong(3)
    channel.send(Start("s", 2, "url", "token", {}, session_limit=60.0))
    assert said.next() == Started("s", 2)
    channel.send(Go("s", 2))
    assert said.next() == Joined("s")
    assert said.next() == Ended("s", "caller_left")
    wait_until(said.is_over)
    assert channel.exit_status() == 0


def test_a_played_agent_goes_when_it_is_stopped_or_killed():
    agents = StubAgents(call_s=60)
    stopped, killed = agents.start("a"), agents.start("b")
    stopped.send(Stop("drained"))
    killed.kill()

    for channel in (stopped, killed):
        wait_until(Said(channel).is_over)


def test_claims_a_second_are_those_that_got_something_over_the_time_of_all_programs():
    results = [
        {"began": 10.0, "ended": 11.0, "claims": {"warm": [1.0, 2.0], "nothing left": [9.0]}},
        {"began": 10.5, "ended": 12.0, "claims": {"warm": [3.0, 4.0]}},
    ]
    claims = _claims(2, results)

    assert claims.kinds == {"warm": 4, "nothing left": 1}
    assert (claims.milliseconds, claims.seconds, claims.a_second) == ([1.0, 2.0, 3.0, 4.0], 2.0, 2.0)


def test_the_report_says_what_was_missed():
    report = Figures()
    load = Load(seconds=10, cores=0.06, pods_cores=0.5, statements=300, commits=200, dearest=[])
    report.add_load("idle", "idle, 100 pods", load, at_most=0.05)
    report.add_claims("claims", "claims", _claims(1, [{"began": 0, "ended": 1, "claims": {"warm": [1.0]}}]), load)

    assert "MISSED" in str(report.lines[0])
    assert report.as_json()["missed"] == [str(report.lines[0])]
    assert report.lines[1].met is None
    assert report.figures["claims"]["postgres_ms"] == 600


def test_percentiles_are_samples():
    assert (percentile_of([3, 1, 2], 50), percentile_of([3, 1, 2], 99), percentile_of([7], 1)) == (2, 3, 7)


def test_wrong_arguments_are_refused_before_anything_starts():
    command = [sys.executable, "-m", "trials", "scale", "--only", "nonsense"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert refused.returncode == 2
    assert "nonsense" in refused.stderr


class Said:
    """What comes from the other end of a channel, one at a time."""

    def __init__(self, channel: AgentChannel) -> None:
        self._channel = channel
        self._messages: list[Message] = []

    def next(self) -> Message:
        wait_until(lambda: self._messages or self._receive())
        return self._messages.pop(0)

    def is_over(self) -> bool:
        self._receive()
        return self._channel.eof and self._channel.exited

    def _receive(self) -> bool:
        self._messages += self._channel.receive()
        return bool(self._messages)

"""Runs for minutes under load with bursts, kills and Daily's faults, after which nothing may have grown.

Flat is judged by medians: of the last third of the run against the first. Memory may be 15 % and 8 MB larger, file
descriptors 10 % and 5 more, a connect half as slow again and 3 ms: what leaks at all leaks more than that in a run. One
pod is spared by the storm, so that there is a supervisor and a zygote as old as the run; gunicorn is never touched.
"""

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

from trials.chaos import processes
from trials.chaos.callers import Answer
from trials.chaos.findings import Finding, fact
from trials.chaos.fleet import Pod
from trials.chaos.fleet_world import LATENCY_S, FleetWorld
from trials.chaos.storm import Storm

PODS = 3
RATE = 4.0
BURSTS = 0.03  # of the arrivals are of five to ten at once
STAY = (0.5, 4.0)
A_MINUTE = {1: 20, 2: 5, 3: 4, 4: 1, 5: 1, 12: 0.5}  # faults
SAMPLE_S = 3.0
DAILY_WELL_S, DAILY_BAD_S = (10.0, 40.0), (2.0, 6.0)
DAILY_FAULTS = ("429", "500", "503", "timeout", "disconnect", "reset")

Samples = dict[str, list[tuple[float, float]]]
"""What is measured -> (seconds since the beginning, value)."""


class Weather:
    """Daily's faults, in periods, and samples of memory and descriptors. The storm calls `turn` at each turn."""

    def __init__(self, world: FleetWorld, spared: Pod, seed: int) -> None:
        self._world = world
        self._spared = spared
        self._chance = random.Random(seed)  # noqa: S311
        self._began = time.monotonic()
        self._daily_due = self._began + self._chance.uniform(*DAILY_WELL_S)
        self._daily_bad = False
        self._sample_due = self._began
        self.samples: Samples = defaultdict(list)
        self.spells = 0

    def turn(self) -> None:
        now = time.monotonic()
        if now >= self._daily_due:
            self._change(now)
        if now >= self._sample_due:
            self._sample_due = now + SAMPLE_S
            self._weigh(now - self._began)

    def clear_up(self) -> None:
        self._world.daily.mend(LATENCY_S)

    def _change(self, now: float) -> None:
        self._daily_bad = not self._daily_bad
        if self._daily_bad:
            self.spells += 1
            self._world.daily.fail(self._chance.choice(DAILY_FAULTS))
        else:
            self.clear_up()
        self._daily_due = now + self._chance.uniform(*(DAILY_BAD_S if self._daily_bad else DAILY_WELL_S))

    def _weigh(self, at: float) -> None:
        zygotes = self._spared.zygotes()[-1:]
        for what, pids in (
            ("supervisor", [self._spared.pid]),
            ("zygote", zygotes),
            ("gunicorn", self._world.gunicorn_pids()),
        ):
            weights = [weight for pid in pids if (weight := processes.weight(pid))]
            if weights:
                self.samples[f"{what} private MB"].append((at, sum(w.private_kb for w in weights) / 1024))
                self.samples[f"{what} descriptors"].append((at, sum(w.descriptors for w in weights)))


def soak(world: FleetWorld, minutes: float, seed: int, figures: dict[str, object]) -> Iterator[Finding]:
    spared = world.pods(PODS)[0]
    first = len(world.answers)
    weather, storm = Weather(world, spared, seed), Storm(world, seed, PODS, spared)
    began = time.time()
    world.callers.arrive(RATE, STAY, BURSTS)
    wanted = {row: max(1, round(number * minutes)) for row, number in A_MINUTE.items()}
    storm.run(wanted, minutes * 60, weather.turn, whole_time=True)
    world.callers.pause()
    weather.clear_up()
    took = world.wait_until_level(180)
    yield fact(0, "level after the storm", True, f"{took:.1f} s")
    struck = ", ".join(f"row {row}: {number}" for row, number in sorted(storm.done.items()))
    yield fact(0, "faults that struck", True, f"{struck}; {weather.spells} spells of Daily's faults")
    weather.samples["connect ms (p50)"] = _latency(world.answers[first:], began)
    for what, samples in weather.samples.items():
        yield _flat(what, samples, minutes * 60, figures)


def _latency(answers: list[Answer], began: float) -> list[tuple[float, float]]:
    return [(answer.sent - began, answer.seconds * 1000) for answer in answers if answer.status == 200]


def _flat(what: str, samples: list[tuple[float, float]], seconds: float, figures: dict[str, object]) -> Finding:
    early = [value for at, value in samples if at < seconds / 3]
    late = [value for at, value in samples if at > seconds * 2 / 3]
    if not early or not late:
        return fact(0, f"{what}: flat", False, "not measured")
    before, after = statistics.median(early), statistics.median(late)
    figures[what] = {"first_third": before, "last_third": after, "samples": len(samples)}
    factor, more = next(slack for word, slack in SLACK.items() if word in what)
    return fact(0, f"{what}: flat", after <= before * factor + more, f"{before:.1f} -> {after:.1f}")


SLACK = {"private": (1.15, 8.0), "descriptors": (1.10, 5.0), "connect": (1.5, 3.0)}
"""Word in the name -> (factor, and more) that the last third's median may have over the first's."""

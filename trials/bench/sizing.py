"""`python -m trials sizing` (`make bench-sizing`): does following demand pay, and is the simulation right?

1. A real run, about two minutes: a pod with the light bot, its size far below its cap, is called by bursts over HTTP.
   Its stock is looked at twice a second.
2. The same arrivals, as the database recorded them, through the simulation: hit rate and average stock side by side.
3. The recorded bursts, replayed three times with half an hour of quiet between them, and two invented patterns: targets
   that follow demand against constant ones of the same average stock. Simulated, in a few seconds.

What must hold: the target followed demand within its cap and did better.
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from pools.decisions.targets import Pool
from pools.sizing.patterns import bursts, campaigns
from pools.sizing.simulation import Result, Simulation
from pools.sizing.simulation import World as Simulated
from trials.console import say
from trials.ending import EXIT_STATUS, conclude
from trials.report import Report
from trials.world import DATA_DIR, LIGHT_BOT, Sizes, World, private_world

SIZE, CAP, ROOMS, SLOTS = 2, 16, 40, 60
BURST, EVERY_S, BURSTS, QUIET_S = 8, 6.0, 14, 20.0
CALL_S = 4.0  # nobody joins; the bot gives up after this time
LOOK_S = 0.5
AN_HOUR = 3600.0
REPEATS, PAUSE_S = 3, 1800.0
CLOSE = 0.05  # hit rates that differ by no more agree
RECORDED = """
SELECT extract(epoch FROM created_at)::float8, agent_process_id IS NOT NULL AND start_kind IN ('prejoined', 'warm'),
extract(epoch FROM active_at - created_at)::float8 FROM pools_voicesession ORDER BY created_at"""
STOCK = """
SELECT (SELECT count(*) FROM pools_agentprocess WHERE status = 'available'),
(SELECT count(*) FROM pools_agentprocess WHERE status = 'warming'),
(SELECT agent_target FROM pools_pod WHERE ended_at IS NULL)"""
MAKING = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY warmup_ms) / 1000,
coalesce(stddev(warmup_ms) / nullif(avg(warmup_ms), 0), 0)::float8
FROM pools_agentprocess WHERE warmup_ms IS NOT NULL"""


@dataclass(frozen=True)
class Run:
    """The figures of a real run; times in seconds."""

    arrivals: list[float]
    hit_rate: float
    average: float  # processes in stock
    most: int  # of them, warming included
    highest_target: int
    making: float
    varies: float
    warm_start: float
    span: float


@dataclass(frozen=True)
class Sizing:
    """`rows`: targets that follow demand against constant ones; the first row is that of the recorded bursts."""

    real: Run
    alike: Result
    rows: list["Comparison"]

    @classmethod
    def of(cls, real: Run) -> "Sizing":
        return cls(
            real, simulated_like(real), [compare(name, moments, real) for name, moments in patterns(real).items()]
        )

    @property
    def holds(self) -> bool:
        return self.real.most <= CAP and all(row.most <= CAP for row in self.rows) and self.rows[0].gain > 0

    def in_words(self) -> str:
        verdict = "The target followed demand within its cap and did better." if self.holds else "NOT SO: see above."
        return "\n\n".join([table_of_the_run(self.real, self.alike), table_of_patterns(self.rows), verdict])

    def as_json(self) -> dict[str, Any]:
        return {"real": vars(self.real), "patterns": [vars(row) for row in self.rows]}


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(words)
    report = Report(name)

    def measure() -> None:
        with private_world(World) as world:
            real = run(world)
        report.result = Sizing.of(real)

    return conclude(report, measure, arguments.output)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials sizing",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=DATA_DIR / "bench-sizing.json",
        metavar="FILE",
        help="where the JSON goes (default: .data/bench-sizing.json)",
    )
    return parser.parse_args(words)


# --- the real run ------------------------------------------------------------------------------------------


def run(world: World) -> Run:
    sizes = Sizes(processes=SIZE, rooms=ROOMS, start_method="spawn", max_processes=SLOTS)
    variables = {
        "VOICE_AGENT_BOT": LIGHT_BOT,
        "VOICE_AGENT_MAX_POOL_SIZE": str(CAP),
        "CALLER_JOIN_TIMEOUT": str(CALL_S),
    }
    with world.pod(sizes, **variables), world.api() as api, ThreadPoolExecutor(BURST) as callers:
        leads = [[api.push() for _ in range(BURST)] for _ in range(BURSTS)]
        began, looks = time.time(), []
        for number, burst in enumerate(leads):
            looks += look_until(world, began + QUIET_S + number * EVERY_S)
            say(f"burst {number + 1} of {BURSTS}: {looks[-1][0]} in stock, target {looks[-1][2]}")
            list(callers.map(lambda lead: connect(world, lead), burst))
        looks += look_until(world, began + 2 * QUIET_S + BURSTS * EVERY_S)
        span = time.time() - began
        recorded = world.rows.all(RECORDED)
        making, varies = world.rows.all(MAKING)[0]
    warm = sorted(wait for _, hit, wait in recorded if hit and wait is not None)
    return Run(
        arrivals=[at - began for at, *_ in recorded],
        hit_rate=sum(hit for _, hit, _ in recorded) / len(recorded),
        average=sum(available for available, *_ in looks) / len(looks),
        most=max(available + warming for available, warming, _ in looks),
        highest_target=max(target for *_, target in looks),
        making=float(making),
        varies=min(1.0, float(varies)),
        warm_start=warm[len(warm) // 2] if warm else 0.0,
        span=span,
    )


def connect(world: World, lead: str) -> None:
    with world.api() as api:
        api.connect(lead)


def look_until(world: World, moment: float) -> list[tuple[int, int, int]]:
    """Sample available, warming and target until this moment, at least once."""
    looks = []
    while True:
        looks.append(world.rows.all(STOCK)[0])
        left = moment - time.time()
        if left <= 0:
            return looks
        world.pause(min(LOOK_S, left))


# --- the simulation ----------------------------------------------------------------------------------------


def as_simulated(real: Run) -> Simulated:
    """Return a simulated pod with the times that the real run measured."""
    return Simulated(
        agent_size=SIZE,
        agent_cap=CAP,
        room_size=ROOMS,
        room_cap=ROOMS,
        max_processes=SLOTS,
        agent_making=real.making,
        varies=real.varies,
        fork=0.0,
        agents_at_once=2,  # as the pod spawns
        warm_start=real.warm_start,
        call_length=CALL_S,
    )


def simulated_like(real: Run) -> Result:
    return Simulation(as_simulated(real), real.arrivals).run(real.span)


def patterns(real: Run) -> dict[str, list[float]]:
    """Return the patterns of arrivals, the recorded one first."""
    length = real.span + PAUSE_S
    recorded = [moment + number * length for number in range(REPEATS) for moment in real.arrivals]
    return {
        f"recorded bursts, {REPEATS} times": recorded,
        "campaigns (invented)": campaigns(0.2, 3 * AN_HOUR, size=BURST),
        "bursts all the time (invented)": bursts(0.2, 3 * AN_HOUR, size=BURST),
    }


@dataclass(frozen=True)
class Comparison:
    name: str
    callers: int
    following: float  # hit rate
    average: float
    most: int
    constant: float  # hit rate of a constant stock of at least the same average
    constant_average: float
    constant_size: int

    @property
    def gain(self) -> float:
        return self.following - self.constant


def compare(name: str, arrivals: Sequence[float], real: Run) -> Comparison:
    world, span = as_simulated(real), arrivals[-1] + PAUSE_S
    following = Simulation(world, arrivals).run(span)
    average = stock(following)
    size = SIZE
    while stock(constant := Simulation(replace(world, agent_size=size, agent_cap=size), arrivals).run(span)) < average:
        size = max(size + 1, ceil(average))
    return Comparison(
        name=name,
        callers=len(arrivals),
        following=following.hit_rate,
        average=average,
        most=following.most[Pool.AGENTS],
        constant=constant.hit_rate,
        constant_average=stock(constant),
        constant_size=size,
    )


def stock(result: Result) -> float:
    return result.average(lambda sample: sample.agents)


# --- what is said ------------------------------------------------------------------------------------------


def table_of_the_run(real: Run, alike: Result) -> str:
    difference = abs(real.hit_rate - alike.hit_rate)
    target = max(sample.agent_target for sample in alike.samples)
    return "\n".join(
        [
            f"{len(real.arrivals)} callers in bursts of {BURST}, size {SIZE}, cap {CAP}; "
            f"a process takes {real.making:.2f} s (+-{100 * real.varies:.0f} %)",
            f"{'':28}{'real run':>12}{'simulation':>12}",
            f"{'warm':28}{real.hit_rate:>12.1%}{alike.hit_rate:>12.1%}",
            f"{'in stock, on average':28}{real.average:>12.1f}{stock(alike):>12.1f}",
            f"{'most (stock and warming)':28}{real.most:>12}{alike.most[Pool.AGENTS]:>12}",
            f"{'highest target':28}{real.highest_target:>12}{target:>12}",
            f"Hit rates {'agree' if difference <= CLOSE else 'DIFFER'}: {100 * difference:.1f} points apart.",
        ]
    )


def table_of_patterns(rows: Sequence[Comparison]) -> str:
    head = "".join(
        f"{word:>{width}}"
        for word, width in (("", 32), ("callers", 8), ("following", 11), ("in stock", 10), ("most", 6))
    ) + "".join(f"{word:>{width}}" for word, width in (("constant", 11), ("in stock", 10), ("size", 6)))
    lines = [
        f"{row.name:32}{row.callers:>8}{row.following:>11.2%}{row.average:>10.2f}{row.most:>6}"
        f"{row.constant:>11.2%}{row.constant_average:>10.2f}{row.constant_size:>6}"
        for row in rows
    ]
    return "\n".join(["Warm starts, simulated: a target that follows demand, and a constant one.", head, *lines])

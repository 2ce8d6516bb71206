"""`python -m trials load api`: pushes and connects at a steady rate, and an account of every lead."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trials.ending import EXIT_STATUS, conclude
from trials.figures import Figure, milliseconds
from trials.load.run import Outcome, Run
from trials.load.traffic import Sent
from trials.report import Report
from trials.world import DATA_DIR, LIGHT_BOT, Sizes, World, private_world

SIZES = Sizes(processes=3, rooms=5, max_processes=80)


@dataclass(frozen=True)
class Load:
    """`asked`: the rates, the seconds and the leads in bulk."""

    outcome: Outcome
    asked: dict[str, float]

    @property
    def holds(self) -> bool:
        return not self.outcome.problems

    def in_words(self) -> str:
        return _text(self.outcome, self.asked)

    def as_json(self) -> dict[str, Any]:
        return _json(self.outcome, self.asked)


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(name, words)
    asked = {word: getattr(arguments, word) for word in ("pushes", "connects", "seconds", "bulk")}
    report = Report(name)

    def run() -> None:
        with private_world(World) as world, world.pod(SIZES, VOICE_AGENT_BOT=LIGHT_BOT):
            outcome = Run(world, **asked).all()
            outcome.rate_limited = world.sandbox.rate_limited()
            report.result = Load(outcome, asked)

    return conclude(report, run, arguments.output)


def _figures(outcome: Outcome) -> dict[str, Figure]:
    """Return figures of the times since a request was due, and since it was sent."""
    kinds: dict[str, Sent] = {"push": outcome.pushes, "connect": outcome.connects, "bulk push": outcome.bulks}
    return {
        f"{name}, {since}": Figure(name, name, milliseconds(samples))
        for name, sent in kinds.items()
        for since, samples in (("since due", sent.due_to_answer), ("since sent", sent.sent_to_answer))
        if samples
    }


def _text(outcome: Outcome, asked: dict[str, float]) -> str:
    lines = [
        f"{asked['pushes']:g} pushes/s and {asked['connects']:g} connects/s for {asked['seconds']:g} s, "
        f"gunicorn, pools {SIZES.processes}/{SIZES.rooms}, light bot; {asked['bulk']} leads in bulk",
        f"{'':24}{'n':>7}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}",
    ]
    for name, figure in _figures(outcome).items():
        values = "".join(f"{figure.at(percentile):10.1f}" for percentile in ("p50", "p99", "max"))
        lines.append(f"{name:24}{len(figure.samples):7}{values}")
    lines += [
        f"answers: pushes {outcome.pushes.statuses}, connects {outcome.connects.statuses}, "
        f"bulk {outcome.bulks.statuses}",
        f"leads: {len(outcome.pushed)} acknowledged, {len(outcome.connected)} connected; outcomes {outcome.outcomes}",
        f"starts: {outcome.starts}; callers who were not let in: {outcome.no_visit}",
        f"calls to Daily answered 429: {outcome.rate_limited}",
        *(f"PROBLEM: {problem}" for problem in outcome.problems),
        "nothing lost, every lead finished" if not outcome.problems else "SOMETHING IS WRONG",
    ]
    return "\n".join(lines)


def _json(outcome: Outcome, asked: dict[str, float]) -> dict[str, Any]:
    return {
        "asked": asked,
        "figures": {name: figure.as_json() for name, figure in _figures(outcome).items()},
        "answers": {
            "pushes": outcome.pushes.statuses,
            "connects": outcome.connects.statuses,
            "bulk": outcome.bulks.statuses,
        },
        "acknowledged": len(outcome.pushed),
        "connected": len(outcome.connected),
        "outcomes": outcome.outcomes,
        "starts": outcome.starts,
        "rate_limited": outcome.rate_limited,
        "problems": outcome.problems,
    }


def _arguments(name: str, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m trials {name}",
        description="Push and connect leads at a steady rate through gunicorn, in a private world (embedded "
        "PostgreSQL, Daily sandbox, one pod), then account for every lead. `load dial` dials a campaign; it has "
        "its own --help.",
        epilog=EXIT_STATUS,
    )
    parser.add_argument("--pushes", type=_number, default=50, metavar="N", help="pushes a second (default %(default)g)")
    parser.add_argument(
        "--connects", type=_number, default=10, metavar="N", help="connects a second (default %(default)g)"
    )
    parser.add_argument("--seconds", type=_number, default=120, metavar="S", help="how long (default %(default)g)")
    parser.add_argument(
        "--bulk", type=int, default=10_000, metavar="N", help="leads pushed in bulk before (default %(default)d)"
    )
    parser.add_argument(
        "--output", type=Path, default=DATA_DIR / "load-api.json", metavar="FILE", help="where the JSON goes"
    )
    return parser.parse_args(words)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0.1 <= number <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.1 to 100000")
    return number

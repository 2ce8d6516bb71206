"""`python -m trials.load api`: pushes and connects at a steady rate, and an account of every lead."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devtools.processes import Foreground
from trials.bench.ending import BROKEN, INTERRUPTED, INTERRUPTIONS
from trials.bench.figures import Figure, milliseconds
from trials.bench.world import DATA_DIR, LIGHT_BOT, ROOT, Sizes, private_directory, running_world
from trials.load.run import Outcome, Run
from trials.load.traffic import Sent

SIZES = Sizes(processes=3, rooms=5, max_processes=80)


def main(words: Sequence[str]) -> int:
    arguments = _arguments(words)
    began = time.time()
    try:
        with private_directory(DATA_DIR) as directory, Foreground(directory, ROOT) as foreground:
            sys.stderr.write("bringing up PostgreSQL, the Daily sandbox and gunicorn\n")
            with running_world(foreground, directory) as world, world.pod(SIZES, VOICE_AGENT_BOT=LIGHT_BOT):
                run = Run(
                    world,
                    pushes=arguments.pushes,
                    connects=arguments.connects,
                    seconds=arguments.seconds,
                    bulk=arguments.bulk,
                )
                outcome = run.all()
                outcome.rate_limited = world.sandbox.rate_limited()
    except INTERRUPTIONS:
        sys.stderr.write("\ninterrupted; everything has been ended\n")
        return INTERRUPTED
    except BROKEN as error:
        sys.stderr.write(f"the run did not work: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(_text(outcome, arguments) + "\n")
    _write(arguments.output, outcome, arguments, began)
    return 1 if outcome.problems else 0


def _figures(outcome: Outcome) -> dict[str, Figure]:
    """The time from the moment a request was due, and from the moment it was sent."""
    kinds: dict[str, Sent] = {"push": outcome.pushes, "connect": outcome.connects, "bulk push": outcome.bulks}
    return {
        f"{name}, {since}": Figure(name, name, milliseconds(samples))
        for name, sent in kinds.items()
        for since, samples in (("since due", sent.due_to_answer), ("since sent", sent.sent_to_answer))
        if samples
    }


def _text(outcome: Outcome, arguments: argparse.Namespace) -> str:
    lines = [
        f"{arguments.pushes:g} pushes/s and {arguments.connects:g} connects/s for {arguments.seconds:g} s, "
        f"gunicorn, pools {SIZES.processes}/{SIZES.rooms}, light bot; {arguments.bulk} leads in bulk",
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
        f"calls to Daily answered 429: {outcome.rate_limited}; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}",
        *(f"PROBLEM: {problem}" for problem in outcome.problems),
        "nothing lost, every lead finished" if not outcome.problems else "SOMETHING IS WRONG",
    ]
    return "\n".join(lines)


def _write(path: Path, outcome: Outcome, arguments: argparse.Namespace, began: float) -> None:
    report: dict[str, Any] = {
        "began": began,
        "asked": {name: getattr(arguments, name) for name in ("pushes", "connects", "seconds", "bulk")},
        "cpus": os.cpu_count(),
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
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials.load api",
        description="Push and connect leads at a steady rate through gunicorn, in a private world (embedded "
        "PostgreSQL, Daily sandbox, one pod), then account for every lead. Exit status: 0 all answered, nothing lost.",
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

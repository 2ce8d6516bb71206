"""`python -m trials bench`: measures a private service; `make bench` and `make bench-voice`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trials.bench.measures import MEASURES, VOICE_MEASURES, Measure
from trials.bench.progress import Progress
from trials.bench.report import Measurements
from trials.ending import BROKEN, EXIT_STATUS, conclude
from trials.report import Report
from trials.world import DATA_DIR, World, private_world

LAST_LINES = 15


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(words)
    measures = VOICE_MEASURES if arguments.voice else MEASURES
    chosen = [measure for measure in (*MEASURES, *VOICE_MEASURES) if measure.name in arguments.only] or measures
    measurements = Measurements()

    def run() -> None:
        with private_world(World) as world:
            measurements.settings = world.rows.settings("server_version", "fsync", "synchronous_commit")
            for measure in chosen:
                _run(world, measure, arguments.rounds or measure.rounds, measurements)
            measurements.rate_limited = world.sandbox.rate_limited()
            measurements.finish()

    return conclude(Report(name, measurements), run, arguments.output)


def _run(world: World, measure: Measure, rounds: int, measurements: Measurements) -> None:
    """Run a measure. A measure that fails is reported, and the others still run."""
    progress = Progress()
    progress.begin(measure.name)
    try:
        measurements.figures += measure.run(world, rounds, progress)
        progress.end("done")
    except BROKEN as error:
        measurements.failures[measure.name] = f"{type(error).__name__}: {error}"
        progress.end(measurements.failures[measure.name])
        for line in world.last_words(LAST_LINES):
            sys.stderr.write(f"  {line}\n")


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials bench",
        description="Measure connects, hand-offs and refills in a private world: embedded PostgreSQL with fsync on,\n"
        "the Daily sandbox with its latency, gunicorn, runpools with the default bot. About ten minutes on two cores.",
        epilog=f"{EXIT_STATUS} A figure that misses its aim is no failure.\n\n"
        "measures:\n" + "\n".join(f"  {measure.name:<11} {measure.about}" for measure in (*MEASURES, *VOICE_MEASURES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--voice", action="store_true", help="measure spoken calls instead: `make bench-voice`")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=[measure.name for measure in (*MEASURES, *VOICE_MEASURES)],
        metavar="NAME",
        help="run this measure only (may be given several times)",
    )
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of each measure, instead of its default")
    parser.add_argument(
        "--output",
        type=Path,
        default=DATA_DIR / "bench.json",
        metavar="FILE",
        help="where the JSON goes (default: .data/bench.json)",
    )
    return parser.parse_args(words)


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return number

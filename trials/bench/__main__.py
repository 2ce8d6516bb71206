"""`python -m trials.bench`: arguments, the run, the exit status."""

import argparse
import sys
from pathlib import Path

from devtools.processes import Foreground
from trials.bench.ending import BROKEN, INTERRUPTED, INTERRUPTIONS
from trials.bench.measures import MEASURES, VOICE_MEASURES, Measure
from trials.bench.progress import Progress
from trials.bench.report import Report
from trials.bench.world import DATA_DIR, ROOT, World, private_directory, running_world

LAST_LINES = 15


def main() -> int:
    arguments = _arguments()
    measures = VOICE_MEASURES if arguments.voice else MEASURES
    chosen = [measure for measure in (*MEASURES, *VOICE_MEASURES) if measure.name in arguments.only] or measures
    report = Report()
    try:
        with private_directory(DATA_DIR) as directory, Foreground(directory, ROOT) as foreground:
            sys.stderr.write("bringing up PostgreSQL, the Daily sandbox and gunicorn\n")
            with running_world(foreground, directory) as world:
                report.settings = world.rows.settings("server_version", "fsync", "synchronous_commit")
                for measure in chosen:
                    _run(world, measure, arguments.rounds or measure.rounds, report)
                report.rate_limited = world.sandbox.rate_limited()
    except INTERRUPTIONS:
        sys.stderr.write("\ninterrupted; everything has been ended\n")
        return INTERRUPTED
    except BROKEN as error:
        report.failures["the run"] = f"{type(error).__name__}: {error}"
    report.finish()
    sys.stdout.write(f"{report.table()}\n")
    report.write(arguments.output)
    return 1 if report.failures else 0


def _run(world: World, measure: Measure, rounds: int, report: Report) -> None:
    """One that does not work is reported, and the others still run."""
    progress = Progress()
    progress.begin(measure.name)
    try:
        report.figures += measure.run(world, rounds, progress)
        progress.end("done")
    except BROKEN as error:
        report.failures[measure.name] = f"{type(error).__name__}: {error}"
        progress.end(report.failures[measure.name])
        for line in world.last_words(LAST_LINES):
            sys.stderr.write(f"  {line}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials.bench",
        description="Measure connects, hand-offs and refills in a private world: embedded PostgreSQL with fsync on,\n"
        "the Daily sandbox with its latency, gunicorn, runpools with the default bot. About ten minutes on two cores.",
        epilog="Exit status: 0 everything worked (fast enough or not), 1 something did not, 130 interrupted.\n\n"
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
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return number


if __name__ == "__main__":
    sys.exit(main())

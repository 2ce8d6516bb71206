"""`python -m trials load dial`: a campaign dialled at Daily's documented rate, then faster."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from trials.chaos.fleet_world import FleetWorld
from trials.ending import EXIT_STATUS, conclude
from trials.load import dial
from trials.report import Report
from trials.world import DATA_DIR, private_world


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(name, words)
    report = Report(name)

    def run() -> None:
        with private_world(FleetWorld, dial.VARIABLES) as world:
            report.result = dial.run(world, leads=arguments.leads, at_dailys_rate=arguments.at_dailys_rate)

    return conclude(report, run, arguments.output)


def _arguments(name: str, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m trials {name}",
        description=dial.__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--leads", type=int, default=dial.LEADS, metavar="N", help="telephony leads (%(default)s)")
    parser.add_argument(
        "--at-dailys-rate",
        type=int,
        default=dial.AT_DAILYS_RATE,
        metavar="N",
        help="how many of them are dialled at Daily's documented rate, about one a second (%(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, default=DATA_DIR / "load-dial.json", metavar="FILE", help="where the JSON goes"
    )
    return parser.parse_args(words)

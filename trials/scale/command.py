"""`python -m trials scale`: a large fleet on one database; `make bench-scale`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from devtools.embedded_postgres import place
from trials.console import say
from trials.ending import EXIT_STATUS, conclude
from trials.report import Report
from trials.scale import __doc__ as package_doc
from trials.scale.database import SETTINGS, Meter
from trials.scale.fleet import Fleet
from trials.scale.phases import CALL_S, PAIRS, Run
from trials.scale.report import Figures
from trials.world import DATA_DIR, World, private_world

STEPS = (1, 10)
PARTS = {
    "steps": "1 and 10 pods before all of them",
    "notify": "how soon all wake, and what that costs",
    "claims": "claims a second with 1, 8 and 32 clients",
    "spread": "calls of each pod",
    "killed": "half of the pods killed at once",
    "history": "idle and claims after a million ended sessions",
    "snapshot": "idle and claims while a snapshot is held open, and after it",
}


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(words)
    settings = {"pods": arguments.pods, "history": arguments.history, "seconds": arguments.seconds}
    figures = Figures(settings)

    def run() -> None:
        with private_world(World, postgres=SETTINGS, keep=arguments.keep) as world:
            _measure(world, arguments, figures)

    return conclude(Report(name, figures), run, arguments.output)


def _measure(world: World, arguments: argparse.Namespace, figures: Figures) -> None:
    environment = {
        **world.environment,
        "VOICE_AGENT_POOL_SIZE": str(PAIRS),
        "VOICE_AGENT_MAX_POOL_SIZE": str(PAIRS),
        "DAILY_ROOM_POOL_SIZE": str(PAIRS),
        "DAILY_ROOM_MAX_POOL_SIZE": str(PAIRS),
        "SCALE_CALL_S": str(CALL_S),
    }
    fleet = Fleet(world, environment)
    meter = Meter(environment["DATABASE_URL"], place.find(world.directory / "postgres").cluster)
    run = Run(world, fleet, meter, figures, arguments.seconds)
    try:
        _phases(run, arguments)
    finally:
        fleet.end()
        meter.close()


def _phases(run: Run, arguments: argparse.Namespace) -> None:
    wanted = set(arguments.only or PARTS)
    steps = [step for step in STEPS if step < arguments.pods and "steps" in wanted]
    for pods in (*steps, arguments.pods):
        run.grow_to(pods)
        idle = run.idle(str(pods), f"{pods} pods", aim=pods == arguments.pods)
    if "notify" in wanted:
        run.broadcasts(idle)
    if "claims" in wanted:
        run.claims("first", f"{pods * PAIRS} ready pairs")
    if "spread" in wanted:
        run.spread()
    if "killed" in wanted:
        run.half_killed()
    if "history" in wanted and arguments.history:
        run.write_past(arguments.history)
        run.idle("history", f"after {arguments.history} ended sessions", aim=True)
        run.claims("history", f"after {arguments.history} ended sessions")
    if "snapshot" in wanted and arguments.held:
        with run.snapshot():
            say(f"a snapshot is held open from now on; {arguments.held:g} s go by")
            run.world.pause(arguments.held)
            run.idle("snapshot", "with a snapshot held open", aim=True)
            run.claims("snapshot", "with a snapshot held open")
        run.world.pause(10.0)
        run.claims("released", "10 s after it was let go")


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials scale",
        description=f"{package_doc}\nAbout twelve minutes; with --pods 20 --seconds 10 --history 0 --held 0 two.",
        epilog=f"{EXIT_STATUS} A figure that misses its aim is no failure.\n\n"
        "parts:\n" + "\n".join(f"  {name:<9} {about}" for name, about in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pods", type=int, default=100, metavar="N", help="how many at last (default: 100)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="of each look at an idle fleet (default: 60)"
    )
    parser.add_argument(
        "--history", type=int, default=1_000_000, metavar="N", help="ended sessions to write (default: a million)"
    )
    parser.add_argument(
        "--held",
        type=float,
        default=120.0,
        metavar="S",
        help="seconds that a snapshot is held open before the last part",
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help="this part only (may be given several times)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the programs' logs there")
    parser.add_argument(
        "--output", type=Path, default=DATA_DIR / "bench-scale.json", metavar="FILE", help="where the JSON goes"
    )
    return parser.parse_args(words)

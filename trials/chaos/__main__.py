"""`python -m trials.chaos [chaos|soak|rolling]`: arguments, the run, the table, the JSON, the exit status."""

import argparse
import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from devtools.processes import Foreground
from trials.bench.world import DATA_DIR, ROOT, private_directory
from trials.chaos import __doc__ as package_doc
from trials.chaos import rolling, secret_search, soak
from trials.chaos.acts import act, draw_up_accounts
from trials.chaos.aftermath import aftermath
from trials.chaos.busy import occupied_cores
from trials.chaos.console import say
from trials.chaos.ending import concluded, keep_logs
from trials.chaos.findings import Finding, Report, fact
from trials.chaos.scenarios import SCENARIOS
from trials.chaos.storm import Storm
from trials.chaos.world import World, running_world

STORM_PODS, STORM_RATE, STORM_STAY = 5, 6.0, (0.3, 3.0)
BUSY_RATE = 2.0  # what is left of occupied cores bears no more
SHARES = {1: 0.6, 2: 0.2, 3: 0.2}  # of the kills of rows 1 to 3
SECONDS_A_KILL = 0.36
REPEATS = {4: 20, 5: 20, 12: 20}
LEVEL_S = {False: 180.0, True: 360.0}  # by whether the cores are occupied
AT_RANDOM = 0  # in place of a row: all of these and nothing else
SECONDS_A_REPEAT = 6.0
# With the light bot, with Pipecat. Callers stay so long that nobody is gone before the bot comes, and so short that two
# cores can bear it: a Pipecat pipeline takes a sixth of a core while it speaks, and as much again to start.
DRAIN_S = {False: 30.0, True: 60.0}
STAY_S = {False: (3.0, 8.0), True: (1.0, 3.0)}


def main() -> int:
    arguments = _arguments()
    report = Report(arguments.command, arguments.seed, arguments.busy)
    random.seed(arguments.seed)
    output = arguments.output or DATA_DIR / f"{arguments.command}.json"
    return concluded(lambda: _run(arguments, report), report, output)


def _run(arguments: argparse.Namespace, report: Report) -> None:
    with private_directory(DATA_DIR) as directory, Foreground(directory, ROOT) as foreground:
        say(f"{arguments.command}, seed {arguments.seed}: bringing up PostgreSQL, the Daily sandbox and gunicorn")
        try:
            with running_world(foreground, directory, _variables(arguments)) as world, _company(report):
                COMMANDS[arguments.command](world, arguments, report)
        finally:
            keep_logs(directory, arguments.keep)


@contextmanager
def _company(report: Report) -> Iterator[None]:
    """What else runs on this machine, and which times hold because of it."""
    with occupied_cores() if report.busy else nullcontext(0) as number:
        beside = f"{number} processes that compute" if number else f"load {report.load_before:.1f}"
        held = "those of an idle machine" if report.idle else "the bounds of a starved one"
        say(f"beside the run: {beside}; the times that are held: {held}")
        yield


# --- commands ----------------------------------------------------------------------------------------------


def _chaos(world: World, arguments: argparse.Namespace, report: Report) -> None:
    for row, (about, scenario) in SCENARIOS.items():
        if not arguments.only or row in arguments.only:
            act(world, f"row {row}: {about}", partial(scenario, world), report)
    if arguments.kills and (not arguments.only or set(arguments.only) & {AT_RANDOM, *SHARES, *REPEATS}):
        act(world, "faults at random moments", lambda: _storm(world, arguments, report), report)
    settle(world, report)


def _storm(world: World, arguments: argparse.Namespace, report: Report) -> Iterable[Finding]:
    wanted = {row: round(arguments.kills * share) for row, share in SHARES.items()}
    wanted |= {row: min(number, max(1, arguments.kills // 10)) for row, number in REPEATS.items()}
    if arguments.only and AT_RANDOM not in arguments.only:
        wanted = {row: number for row, number in wanted.items() if row in arguments.only}
    seconds = max(
        sum(wanted.get(row, 0) for row in SHARES) * SECONDS_A_KILL,
        sum(wanted.get(row, 0) for row in REPEATS) * SECONDS_A_REPEAT,
    )
    if arguments.minutes and arguments.minutes * 60 < seconds:
        wanted = {row: max(1, round(number * arguments.minutes * 60 / seconds)) for row, number in wanted.items()}
        seconds = arguments.minutes * 60
    world.pods(STORM_PODS)
    first = len(world.answers)
    storm = Storm(world, arguments.seed, STORM_PODS, busy=arguments.busy)
    world.callers.arrive(BUSY_RATE if arguments.busy else STORM_RATE, STORM_STAY)
    storm.run(wanted, seconds)
    world.callers.pause()
    took = world.wait_until_level(LEVEL_S[arguments.busy])
    report.figures["faults"] = {"wanted": wanted, "struck": dict(storm.done)}
    struck = ", ".join(f"row {row}: {storm.done[row]} of {number}" for row, number in wanted.items())
    all_struck = all(storm.done[row] >= number for row, number in wanted.items())
    yield fact(0, "faults struck at random moments", all_struck, f"{struck}; level again after {took:.1f} s")
    yield from aftermath(world, storm, world.answers[first:])


def _soak(world: World, arguments: argparse.Namespace, report: Report) -> None:
    minutes = arguments.minutes or 10.0
    act(world, "soak", lambda: soak.soak(world, minutes, arguments.seed, report.figures), report)
    settle(world, report)


def _rolling(world: World, arguments: argparse.Namespace, report: Report) -> None:
    rate = arguments.rate or (3.0 if arguments.pipecat else 10.0)
    stay = STAY_S[arguments.pipecat]
    drain = DRAIN_S[arguments.pipecat]
    about = f"row 11: rolling restart under {rate:g} connects/s"
    act(world, about, lambda: rolling.rolling(world, rate, drain, stay), report)
    if not arguments.pipecat:
        act(world, "row 11: impatient drains", lambda: rolling.impatient(world), report)
    settle(world, report)


COMMANDS = {"chaos": _chaos, "soak": _soak, "rolling": _rolling}


def settle(world: World, report: Report) -> None:
    act(world, "secrets are looked for", lambda: secret_search.searched(world), report)
    draw_up_accounts(world, report)


def _variables(arguments: argparse.Namespace) -> dict[str, str]:
    if arguments.command == "rolling":
        drain = {"DRAIN_TIMEOUT": f"{DRAIN_S[arguments.pipecat]:.0f}"}
        return drain | ({"VOICE_AGENT_BOT": rolling.PIPECAT_BOT} if arguments.pipecat else {})
    return {}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials.chaos",
        description=f"{package_doc}\nExit status: 0 all promises hold, 1 something was lost, doubled or left over, or\n"
        "broke, or took longer than it may; 130 interrupted. Each time has two limits: one for an idle machine, which\n"
        "holds if little runs beside the run, and a wider one for a starved machine, which holds in any case.",
        epilog="rows of chaos:\n" + "\n".join(f"  {row:>2}  {about}" for row, (about, _) in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", default="chaos", choices=COMMANDS)
    parser.add_argument(
        "--only",
        action="append",
        type=int,
        choices=[AT_RANDOM, *SCENARIOS],
        metavar="ROW",
        help="chaos: this row only (may be given several times); 0: the faults at random moments only",
    )
    parser.add_argument("--kills", type=int, default=1000, metavar="N", help="chaos: of rows 1 to 3, at random moments")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="soak: how long (10); chaos: of the random part, with fewer faults",
    )
    parser.add_argument(
        "--busy", action="store_true", help="occupy the cores on purpose: the bounds of a starved machine are held"
    )
    parser.add_argument("--pipecat", action="store_true", help="rolling: with the default Pipecat bot")
    parser.add_argument("--rate", type=float, metavar="R", help="rolling: connects a second (10; 3 with --pipecat)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the random moments"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes (.data/COMMAND.json)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the programs' logs there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

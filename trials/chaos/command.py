"""`python -m trials chaos`, `soak` and `rolling`: faults on purpose, and an audit at the end."""

import argparse
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from trials.chaos import __doc__ as package_doc
from trials.chaos import rolling, secret_search, soak
from trials.chaos.aftermath import aftermath
from trials.chaos.busy import occupied_cores
from trials.chaos.findings import Finding, Findings, fact
from trials.chaos.fleet_world import FleetWorld
from trials.chaos.running import account_for_all, run_scenario
from trials.chaos.scenarios import SCENARIOS
from trials.chaos.storm import Storm
from trials.console import say
from trials.ending import EXIT_STATUS, conclude
from trials.report import Report
from trials.world import DATA_DIR, private_world

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


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(name, words)
    findings = Findings(arguments.seed, arguments.busy)
    random.seed(arguments.seed)

    def run() -> None:
        say(f"{name}, seed {arguments.seed}")
        with private_world(FleetWorld, _variables(name, arguments), keep=arguments.keep) as world, _company(findings):
            COMMANDS[name](world, arguments, findings)

    return conclude(Report(name, findings), run, arguments.output)


@contextmanager
def _company(findings: Findings) -> Iterator[None]:
    """Occupy the cores if asked to, and print which time limits hold."""
    with occupied_cores() if findings.busy else nullcontext(0) as number:
        beside = f"{number} processes that compute" if number else f"load {findings.load_before:.1f}"
        held = "those of an idle machine" if findings.idle else "the bounds of a starved one"
        say(f"beside the run: {beside}; the times that are held: {held}")
        yield


# --- commands ----------------------------------------------------------------------------------------------


def _chaos(world: FleetWorld, arguments: argparse.Namespace, findings: Findings) -> None:
    for row, (about, scenario) in SCENARIOS.items():
        if not arguments.only or row in arguments.only:
            run_scenario(world, f"row {row}: {about}", partial(scenario, world), findings)
    if arguments.kills and (not arguments.only or set(arguments.only) & {AT_RANDOM, *SHARES, *REPEATS}):
        run_scenario(world, "faults at random moments", lambda: _storm(world, arguments, findings), findings)
    settle(world, findings)


def _storm(world: FleetWorld, arguments: argparse.Namespace, findings: Findings) -> Iterable[Finding]:
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
    findings.figures["faults"] = {"wanted": wanted, "struck": dict(storm.done)}
    struck = ", ".join(f"row {row}: {storm.done[row]} of {number}" for row, number in wanted.items())
    all_struck = all(storm.done[row] >= number for row, number in wanted.items())
    yield fact(0, "faults struck at random moments", all_struck, f"{struck}; level again after {took:.1f} s")
    yield from aftermath(world, storm, world.answers[first:])


def _soak(world: FleetWorld, arguments: argparse.Namespace, findings: Findings) -> None:
    run_scenario(world, "soak", lambda: soak.soak(world, arguments.minutes, arguments.seed, findings.figures), findings)
    settle(world, findings)


def _rolling(world: FleetWorld, arguments: argparse.Namespace, findings: Findings) -> None:
    rate = arguments.rate or (3.0 if arguments.pipecat else 10.0)
    stay = STAY_S[arguments.pipecat]
    drain = DRAIN_S[arguments.pipecat]
    about = f"row 11: rolling restart under {rate:g} connects/s"
    run_scenario(world, about, lambda: rolling.rolling(world, rate, drain, stay), findings)
    if not arguments.pipecat:
        run_scenario(world, "row 11: impatient drains", lambda: rolling.impatient(world), findings)
    settle(world, findings)


COMMANDS = {"chaos": _chaos, "soak": _soak, "rolling": _rolling}


def settle(world: FleetWorld, findings: Findings) -> None:
    run_scenario(world, "secrets are looked for", lambda: secret_search.searched(world), findings)
    account_for_all(world, findings)


def _variables(name: str, arguments: argparse.Namespace) -> dict[str, str]:
    if name == "rolling":
        drain = {"DRAIN_TIMEOUT": f"{DRAIN_S[arguments.pipecat]:.0f}"}
        return drain | ({"VOICE_AGENT_BOT": rolling.PIPECAT_BOT} if arguments.pipecat else {})
    return {}


def _arguments(name: str, words: Sequence[str]) -> argparse.Namespace:
    rows = "rows of chaos:\n" + "\n".join(f"  {row:>2}  {about}" for row, (about, _) in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog=f"python -m trials {name}",
        description=f"{package_doc}\n{EXIT_STATUS}\nWhat must hold: nothing is lost, doubled or left over, and\n"
        "nothing takes longer than it may. Each time has two limits: one for an idle machine, which\n"
        "holds if little runs beside the run, and a wider one for a starved machine, which holds in any case.",
        epilog=rows if name == "chaos" else "",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    OPTIONS[name](parser)
    parser.add_argument(
        "--busy", action="store_true", help="occupy the cores on purpose: the limits of a starved machine hold"
    )
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the random moments"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=DATA_DIR / f"{name}.json",
        metavar="FILE",
        help=f"where the JSON goes (.data/{name}.json)",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the programs' logs there")
    return parser.parse_args(words)


def _chaos_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        action="append",
        type=int,
        choices=[AT_RANDOM, *SCENARIOS],
        metavar="ROW",
        help="this row only (may be given several times); 0: the faults at random moments only",
    )
    parser.add_argument(
        "--kills", type=int, default=1000, metavar="N", help="of rows 1 to 3, at random moments (%(default)s)"
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="of the random part, with fewer faults")


def _soak_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="how long (%(default)g)")


def _rolling_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pipecat", action="store_true", help="with the default Pipecat bot")
    parser.add_argument("--rate", type=float, metavar="R", help="connects a second (10; 3 with --pipecat)")


OPTIONS = {"chaos": _chaos_options, "soak": _soak_options, "rolling": _rolling_options}

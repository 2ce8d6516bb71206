"""`python -m trials hosts`: the service on several hosts, whose cables are pulled; `make hosts`."""

import argparse
import contextlib
import fcntl
import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from devtools import embedded_postgres
from devtools.embedded_postgres import EmbeddedPostgresError
from trials.chaos.findings import Findings
from trials.chaos.running import account_for_all, run_scenario
from trials.console import say
from trials.ending import EXIT_STATUS, conclude
from trials.hosts import __doc__ as package_doc
from trials.hosts.hosts_world import HostsWorld
from trials.hosts.network import NotPossibleHere, check, network, on_host, sweep
from trials.hosts.scenarios import SCENARIOS
from trials.report import Report
from trials.world import DATA_DIR, private_world

DISKS = DATA_DIR / "hosts"
LOCK = Path("/run/lock/breezebuddy-hosts")  # namespaces are the whole machine's
NOT_HERE = 3


def main(name: str, words: Sequence[str]) -> int:
    arguments = _arguments(words)
    findings = Findings(arguments.seed)
    random.seed(arguments.seed)

    def run() -> None:
        _clear_up()
        with (
            network(),
            on_host("callers"),
            private_world(HostsWorld, parent=DISKS, keep=arguments.keep) as world,
        ):
            _scenarios(world, arguments, findings)

    try:
        check(os.geteuid())
        with _only_one():
            return conclude(Report(name, findings), run, arguments.output)
    except NotPossibleHere as error:
        sys.stderr.write(f"{error}\n")
        return NOT_HERE


def _scenarios(world: HostsWorld, arguments: argparse.Namespace, findings: Findings) -> None:
    for row, (about, scenario) in SCENARIOS.items():
        if not arguments.only or row in arguments.only:
            run_scenario(world, f"row {row}: {about}", partial(scenario, world), findings)
    account_for_all(world, findings)


@contextmanager
def _only_one() -> Iterator[None]:
    """Raises NotPossibleHere."""
    with open(LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotPossibleHere("another `make hosts` runs on this machine: wait for its end") from None
        yield


def _clear_up() -> None:
    """Remove what a killed run has left: hosts with their processes, and the disks."""
    if found := sweep():
        say(f"removed what a former run has left: {found} namespaces and what ran in them")
    for left in DISKS.glob("*") if DISKS.is_dir() else ():
        with contextlib.suppress(EmbeddedPostgresError):
            embedded_postgres.remove(left / "postgres")
        shutil.rmtree(left, ignore_errors=True)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials hosts",
        description=f"{package_doc}\n{EXIT_STATUS} 3: this machine lacks what it\n"
        "needs (and says what). Times beyond their limits are reported and are no failure.",
        epilog="rows:\n" + "\n".join(f"  {row}  {about}" for row, (about, _) in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", type=int, choices=SCENARIOS, metavar="ROW", help="this row only (repeatable)"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of random moments")
    parser.add_argument(
        "--output", type=Path, default=DATA_DIR / "hosts.json", metavar="FILE", help="where the JSON goes"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the programs' logs there")
    return parser.parse_args(words)

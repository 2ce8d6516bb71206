"""`python -m trials.hosts`: arguments, the run, findings, the JSON, the exit status."""

import argparse
import contextlib
import fcntl
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from devtools import embedded_postgres
from devtools.embedded_postgres import EmbeddedPostgresError
from devtools.processes import Foreground
from trials.bench.world import DATA_DIR, ROOT, private_directory
from trials.chaos.acts import act, draw_up_accounts
from trials.chaos.console import say
from trials.chaos.ending import concluded, keep_logs
from trials.chaos.findings import Report
from trials.hosts import __doc__ as package_doc
from trials.hosts.network import NotPossibleHere, check, network, on_host, sweep
from trials.hosts.scenarios import SCENARIOS
from trials.hosts.world import World, running_world

DISKS = DATA_DIR / "hosts"
LOCK = Path("/run/lock/breezebuddy-hosts")  # namespaces are the whole machine's
NOT_HERE = 3


def main() -> int:
    arguments = _arguments()
    report = Report("hosts", arguments.seed)
    random.seed(arguments.seed)
    try:
        check(os.geteuid())
        with _only_one():
            return concluded(lambda: _run(arguments, report), report, arguments.output)
    except NotPossibleHere as error:
        sys.stderr.write(f"{error}\n")
        return NOT_HERE


def _run(arguments: argparse.Namespace, report: Report) -> None:
    _clear_up()
    with network(), on_host("callers"), private_directory(DISKS) as directory:
        try:
            with Foreground(directory, ROOT) as foreground:
                say("hosts are connected: bringing up PostgreSQL, the Daily sandbox and gunicorn on theirs")
                with running_world(foreground, directory, {}) as world:
                    _scenarios(world, arguments, report)
        finally:
            keep_logs(directory, arguments.keep)


def _scenarios(world: World, arguments: argparse.Namespace, report: Report) -> None:
    for row, (about, scenario) in SCENARIOS.items():
        if not arguments.only or row in arguments.only:
            act(world, f"row {row}: {about}", partial(scenario, world), report)
    draw_up_accounts(world, report)


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
    """What a killed run has left: hosts with their processes, and the disks."""
    if found := sweep():
        say(f"removed what a former run has left: {found} namespaces and what ran in them")
    for left in DISKS.glob("*") if DISKS.is_dir() else ():
        with contextlib.suppress(EmbeddedPostgresError):
            embedded_postgres.remove(left / "postgres")
        shutil.rmtree(left, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trials.hosts",
        description=f"{package_doc}\nExit status: 0 all holds, 1 something does not, 3 this machine has not what it "
        "needs (and says what), 130 interrupted. Times beyond their limits are reported, not failed.",
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
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

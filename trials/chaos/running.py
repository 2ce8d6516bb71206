"""Runs scenarios, each with its own pods and an audit at its end; the last one accounts for all connects."""

import time
from collections.abc import Callable, Iterable

from trials.chaos.findings import Finding, Findings
from trials.chaos.fleet_world import FleetWorld
from trials.console import say
from trials.world import DidNotHappen

CLEAN_S = 180.0


def run_scenario(world: FleetWorld, about: str, run: Callable[[], Iterable[Finding]], findings: Findings) -> None:
    """Run a scenario and audit its end. A scenario that breaks is reported, and the others still run."""
    say(about)
    try:
        for finding in run():
            say(findings.add(finding).in_words())
        _audit(world, about, findings)
    except DidNotHappen as error:
        findings.problems.append(f"{about}: {error}")
        say(f"    BROKEN: {error}")
    finally:
        world.callers.pause()
        world.restore()


def _audit(world: FleetWorld, about: str, findings: Findings) -> None:
    audit = world.audit()
    left = {
        "rooms left over": len(audit.rooms_left_over),
        "processes left over": len(audit.processes_left_over),
        "two bots in a room": len(audit.two_bots),
        "leads stuck": audit.stuck_leads,
    }
    for name, number in left.items():
        findings.must_be_zero[name] = findings.must_be_zero.get(name, 0) + number
    if not audit.agrees:
        findings.problems.append(f"audit after {about}: {audit.in_words()}")
    say(f"    audit: {audit.in_words()}")


def account_for_all(world: FleetWorld, findings: Findings) -> None:
    """Account for every connect of the run, after everything is cleaned up."""
    run_scenario(world, "the last rooms are deleted", lambda: _clean_up(world), findings)
    accounts = world.accounts()
    findings.accounts = vars(accounts)
    findings.must_be_zero |= {
        "lost": accounts.lost,
        "double": accounts.double,
        "failed (neither 200 nor 503)": accounts.failed,
        "503 without Retry-After": accounts.silent_refusals,
    }
    say(accounts.in_words())
    say(f"ends: {accounts.ends}  failures: {accounts.failures}  429 from Daily: {accounts.rate_limited}")


def _clean_up(world: FleetWorld) -> Iterable[Finding]:
    """Wait until one pod has deleted all rooms: clean-up has the lowest priority in Daily's budget."""
    world.pods(1)
    began = time.monotonic()
    left = world.tables.rooms_to_delete()
    world.wait_for("rooms deleted", lambda: not world.tables.rooms_to_delete(), CLEAN_S, step=0.3)
    world.wait_until_level()
    yield Finding(0, "every room that is over is gone at Daily", note=f"{left} in {time.monotonic() - began:.1f} s")

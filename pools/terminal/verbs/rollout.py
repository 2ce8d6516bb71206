"""Say which version of the bot (VOICE_AGENT_VERSION of its pods) is to have which share of the calls.

    manage.py pools rollout                 what stands, and the numbers of each version side by side
    manage.py pools rollout 2.3=10%         2.3 has a tenth of the calls; all other versions share the rest
    manage.py pools rollout 2.3=10% 2.2=90% any version beside these has none while they are in stock
    manage.py pools rollout 2.3             2.3 has all calls
    manage.py pools rollout --back          roll back: as it was before the latest roll-out; again: one further
    manage.py pools rollout --off           no preference: calls spread over all pods by their free slots
    manage.py pools rollout 2.3=0% --ahead  before its pods start: they come up, and are given no calls yet

A share is a preference. Where the version that a call has drawn is out of stock, the call has another one at once;
nobody is refused or kept waiting for a version. Calls that go on are not touched.
Exit code 0: told or done; 1: refused, and why; 2: a share that cannot be.
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder

from pools import shares
from pools.operators import rollout, version_numbers
from pools.operators.rollout import RolloutRefused
from pools.terminal import quantities
from pools.terminal.operator import operator
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode
from pools.terminal.version_table import version_table

HELP = "which version of the bot has which share of the calls, and how each does"
NOTHING_STANDS = "No roll-out stands: calls spread over all pods by their free slots."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shares", nargs="*", metavar="VERSION[=PERCENT]", help="such as 2.3=10%%")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--back", action="store_true", help="take back the latest roll-out")
    instead.add_argument("--off", action="store_true", help="no preference from now on")
    parser.add_argument("--ahead", action="store_true", help="though no live pod runs such a version yet")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept with the roll-out")
    parser.add_argument("--json", action="store_true", help="for programs: the numbers as one JSON object")
    parser.add_argument(
        "--minutes", type=quantities.minutes, default=60.0, metavar="N", help="numbers of so long (default: 60)"
    )


def run(options: Mapping[str, Any], screen: Screen) -> int:
    if options["shares"] and (options["back"] or options["off"]):
        raise CommandError("give either shares, or --back, or --off")
    if options["back"]:
        return roll_back(options, screen)
    if options["off"] and not is_standing():
        screen.out(f"Nothing to take back. {NOTHING_STANDS}")
        return ExitCode.FINE
    if options["shares"] or options["off"]:
        return roll_out(options, screen)
    return show(options, screen)


def is_standing() -> bool:
    standing = rollout.standing()
    return standing is not None and bool(standing.shares)


def roll_out(options: Mapping[str, Any], screen: Screen) -> int:
    try:
        wanted = shares.parse(options["shares"])
        made = rollout.roll_out(wanted, by=operator(), why=options["why"], ahead=options["ahead"])
    except shares.BadShares as bad:
        raise CommandError(str(bad)) from None
    except RolloutRefused as refusal:
        screen.note(f"Refused: {refusal}.")
        return ExitCode.DEGRADED
    screen.out(f"Rolled out: {made}. Back: manage.py pools rollout --back")
    return ExitCode.FINE


def roll_back(options: Mapping[str, Any], screen: Screen) -> int:
    taken_back = rollout.roll_back(by=operator(), why=options["why"])
    if taken_back is None:
        screen.note(f"Refused: {NOTHING_STANDS}")
        return ExitCode.DEGRADED
    screen.out(f"Rolled back: {taken_back}. Now: {rollout.standing() or shares.in_words({})}.")
    return ExitCode.FINE


def show(options: Mapping[str, Any], screen: Screen) -> int:
    standing = rollout.standing()
    numbers = version_numbers.read(options["minutes"])
    if options["json"]:
        content = {
            "rollout": standing.report() if standing else None,
            "minutes": options["minutes"],
            "versions": [version.as_json() for version in numbers],
        }
        screen.out(json.dumps(content, cls=DjangoJSONEncoder, indent=1))
        return ExitCode.FINE
    if standing:
        why = f" ({standing.reason})" if standing.reason else ""
        screen.out(f"Roll-out: {standing}; by {standing.set_by}, {standing.set_at:%Y-%m-%d %H:%M:%S} UTC{why}")
    else:
        screen.out(NOTHING_STANDS)
    screen.out("\n" + version_table(numbers, options["minutes"]))
    return ExitCode.FINE

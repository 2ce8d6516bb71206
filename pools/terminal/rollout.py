"""The verb `rollout`: which version of the bot gets which share of the calls."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder

from common.display import NONE, duration
from pools import shares
from pools.operators import rollout, version_numbers
from pools.operators.rollout import RolloutRefused
from pools.operators.version_numbers import VersionNumbers
from pools.terminal import quantities
from pools.terminal.options import operator
from pools.terminal.screen import ExitCode, Screen, Verb, table

NOTHING_STANDS = "No roll-out stands: calls spread over all pods by their free slots."


class Rollout(Verb):
    """Set which version of the bot (VOICE_AGENT_VERSION of its pods) gets which share of the calls.

        manage.py pools rollout                 the roll-out in force, and the numbers of each version side by side
        manage.py pools rollout 2.3=10%         2.3 gets a tenth of the calls; all other versions share the rest
        manage.py pools rollout 2.3=10% 2.2=90% other versions get calls only when these have none ready
        manage.py pools rollout 2.3             2.3 gets all calls
        manage.py pools rollout --back          undo the latest roll-out; again: the one before it
        manage.py pools rollout --off           no preference: calls spread over all pods by their free slots
        manage.py pools rollout 2.3=0% --ahead  before its pods start: they come up and get no calls yet

    A share is a preference. If the version chosen for a call has nothing ready, the call gets another one at once; no
    caller is refused or waits for a version. Running calls are not touched.
    Exit code 0: success; 1: refused, with the reason; 2: an impossible share.
    """

    help = "set which version of the bot gets which share of the calls, or compare versions"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("shares", nargs="*", metavar="VERSION[=PERCENT]", help="such as 2.3=10%%")
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--back", action="store_true", help="take back the latest roll-out")
        instead.add_argument("--off", action="store_true", help="end all preferences")
        parser.add_argument("--ahead", action="store_true", help="accept versions that no live pod runs yet")
        parser.add_argument("--why", default="", metavar="TEXT", help="reason, shown with the roll-out")
        parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object")
        parser.add_argument(
            "--minutes",
            type=quantities.minutes,
            default=60.0,
            metavar="N",
            help="count the sessions of the last N minutes (default: 60)",
        )

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
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


HEAD = (
    "version",
    "pods",
    "share",
    "starts",
    "prejoined",
    "warm",
    "partial",
    "cold",
    "no process",
    "no room",
    "bot joined p50/p95",
    "first audio p50/p95",
    "ended",
    "failed",
    "failed hand-offs",
)


def version_table(numbers: Sequence[VersionNumbers], minutes: float) -> str:
    """One line a version, one column a number."""
    if not numbers:
        return "No pod runs, and there were no sessions."
    total = sum(version.starts for version in numbers)
    title = f"Sessions of the last {minutes:g} minutes, by the version that had them"
    return f"{title}\n{table(HEAD, [_row(version, total) for version in numbers])}"


def _row(of: VersionNumbers, total: int) -> tuple[object, ...]:
    return (
        of.version or "(none)",
        of.pods,
        share(of, total),
        of.starts,
        of.prejoined,
        of.warm,
        of.partial,
        of.cold,
        of.agent_misses,
        of.room_misses,
        f"{_ms(of.joined_p50_ms)}/{_ms(of.joined_p95_ms)}",
        f"{_ms(of.first_audio_p50_ms)}/{_ms(of.first_audio_p95_ms)}",
        of.ended,
        of.failed,
        of.failed_handoffs,
    )


def share(of: VersionNumbers, total: int) -> str:
    """The share of the calls that a version had, and the share that it should have."""
    had = f"{100 * of.starts / total:.1f} %" if total else NONE
    return had if of.wanted_percent is None else f"{had} of {of.wanted_percent:g} %"


def _ms(value: float | None) -> str:
    return NONE if value is None else duration(value / 1000)

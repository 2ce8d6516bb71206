"""The verb `reserve`: keep warm pairs ready for a time."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from common.display import counted
from pools.models import PoolOverride
from pools.operators import overrides
from pools.operators.overrides import OverrideRefused
from pools.terminal import quantities
from pools.terminal.options import clock, operator
from pools.terminal.screen import ExitCode, Screen, Verb, table


class Reserve(Verb):
    """Keep a number of warm pairs ready for a time, by all pods together: 60 from 10:00 to 10:20.

        manage.py pools reserve 60 --at 10:00 --until 10:20 --why "campaign"
        manage.py pools reserve 60 --for 20m                 (from now)
        manage.py pools reserve --list
        manage.py pools reserve --cancel 2f1c...

    Times are UTC unless they name an offset. The pods begin half a minute early and share the pairs evenly.
    Reservations for the same time add up. A reservation that the live pods cannot hold is refused; with --allow-short
    it is accepted, for pods that will start later, and `pools status` says how many pairs are missing. Reserved pairs
    are not warm yet: `pools status` counts those that are. Exit code 0: success; 1: refused; 2: usage error.
    """

    help = "keep warm pairs ready for a time (60 --at 10:00 --until 10:20)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "pairs",
            type=int,
            nargs="?",
            metavar="PAIRS",
            help="pairs of a room and an agent process, all pods together",
        )
        parser.add_argument(
            "--at", type=moment, default="now", metavar="TIME", help="10:00, +20m, 2026-11-24T10:00 (default: now)"
        )
        end = parser.add_mutually_exclusive_group()
        end.add_argument("--until", type=moment, metavar="TIME", help="when the pairs are released again")
        end.add_argument("--for", type=quantities.duration, dest="lasting", metavar="DURATION", help="20m, 1h")
        parser.add_argument("--why", default="", metavar="TEXT", help="reason, shown with the reservation")
        parser.add_argument(
            "--allow-short", action="store_true", help="accept it although the live pods cannot hold all pairs"
        )
        parser.add_argument("--list", action="store_true", help="list reservations, now and later")
        parser.add_argument("--cancel", type=UUID, metavar="ID", help="release a reservation now")

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        if options["list"]:
            return show(screen)
        if options["cancel"]:
            return cancel(options["cancel"], screen)
        starts_at, ends_at = period(options)
        try:
            override = overrides.reserve(
                options["pairs"],
                starts_at=starts_at,
                ends_at=ends_at,
                allow_short=options["allow_short"],
                by=operator(),
                why=options["why"],
            )
        except OverrideRefused as refusal:
            screen.note(f"Refused: {refusal}")
            return ExitCode.DEGRADED
        screen.out(
            f"Reserved: {counted(override.size or 0, 'pair')} from {clock(override.starts_at)} to {clock(ends_at)}."
        )
        if short := overrides.shortage(override.size or 0, starts_at, ends_at, beside=override):
            screen.note(f"As of now it will be short: {short}")
        screen.out(f"Release it: manage.py pools reserve --cancel {override.uuid}")
        return ExitCode.FINE


def moment(text: str) -> datetime:
    return quantities.moment(text, timezone.now())


def period(options: Mapping[str, Any]) -> tuple[datetime, datetime]:
    if options["pairs"] is None:
        raise CommandError("how many pairs? e.g. manage.py pools reserve 60 --at 10:00 --until 10:20")
    starts_at = options["at"]
    if options["lasting"]:
        return starts_at, starts_at + timedelta(seconds=options["lasting"])
    if options["until"] is None:
        raise CommandError("until when? --until 10:20 or --for 20m")
    return starts_at, options["until"]


def cancel(number: UUID, screen: Screen) -> int:
    if overrides.cancel(number, by=operator()):
        screen.out("Released.")
        return ExitCode.FINE
    screen.note("There is no such reservation, or it is over.")
    return ExitCode.DEGRADED


def show(screen: Screen) -> int:
    rows = [
        (
            override.size or 0,
            clock(override.starts_at),
            clock(override.ends_at),
            override.ordered_by,
            override.reason,
            override.uuid,
        )
        for override in PoolOverride.objects.standing().reservations().order_by("starts_at")
    ]
    screen.out(table(("pairs", "from", "to", "by", "why", "id"), rows) if rows else "Nothing is reserved.")
    return ExitCode.FINE

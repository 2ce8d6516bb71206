"""The verbs for overrides about whole pools: `pause`, `resume`, `resize`, `overrides`."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from common.display import counted
from pools.models import PoolOverride
from pools.operators import overrides
from pools.terminal.options import (
    POOLS,
    add_override_arguments,
    add_pool_arguments,
    back,
    operator,
    override_table,
    until,
)
from pools.terminal.screen import ExitCode, Screen, Verb

CONFIGURED = "configured"


class Pause(Verb):
    """Stop filling a pool. Its ready items are still given out, and items on demand are still made.

    The pause lasts until `pools resume`, or for --minutes. Exit code 0: success; 1: refused, with the reason.
    """

    help = "stop filling a pool"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_pool_arguments(parser)
        add_override_arguments(parser)

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        for pool in POOLS[options["pool"]]:
            if (
                earlier := PoolOverride.objects.in_force()
                .pauses()
                .filter(pool=pool, pod_name=options["pod"] or "")
                .first()
            ):
                screen.note(f"In force already: {earlier}, {earlier.words}. This one is added; resume takes back both.")
            try:
                override = overrides.pause(
                    pool, pod=options["pod"] or "", until=until(options), by=operator(), why=options["why"]
                )
            except overrides.OverrideRefused as refusal:
                screen.note(f"Refused: {refusal}.")
                return ExitCode.DEGRADED
            screen.out(f"Set: {override}, {override.words}. Back: manage.py pools resume {options['pool']}")
        return ExitCode.FINE


class Resume(Verb):
    """Take pauses back: the pool is filled again.

    Exit code 0: nothing is paused any more; 1: refused, because the pool is paused for all pods and not only for this
    one.
    """

    help = "fill a paused pool again"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_pool_arguments(parser)

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        cancelled = 0
        for pool in POOLS[options["pool"]]:
            try:
                cancelled += overrides.resume(pool, pod=options["pod"] or "", by=operator())
            except overrides.OverrideRefused as refusal:
                screen.note(f"Refused: {refusal}.")
                return ExitCode.DEGRADED
        if not cancelled:
            screen.note("Nothing was paused.")
            return ExitCode.FINE
        screen.out(f"{counted(cancelled, 'pause')} taken back.")
        return ExitCode.FINE


class Resize(Verb):
    """Set how many ready items each pod keeps, within its hard limits.

    This replaces the configured size, and the pods stop following demand.

        manage.py pools resize processes 6 --minutes 30 --why "campaign"
        manage.py pools resize rooms configured

    Exit code 0: success; 1: refused, with the reason.
    """

    help = "set how many ready items each pod keeps, for a time or until you take it back"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_pool_arguments(parser, ["processes", "rooms"])
        parser.add_argument(
            "size",
            type=size,
            metavar="SIZE",
            help="ready items of each pod; `configured` returns to the configured size",
        )
        add_override_arguments(parser)

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        (pool,) = POOLS[options["pool"]]
        pod = options["pod"] or ""
        if options["size"] is None:
            screen.out(f"{counted(overrides.unsize(pool, pod=pod, by=operator()), 'override')} taken back.")
            return ExitCode.FINE
        try:
            override = overrides.resize(
                pool, options["size"], pod=pod, until=until(options), by=operator(), why=options["why"]
            )
        except overrides.OverrideRefused as refusal:
            screen.note(f"Refused: {refusal}.")
            return ExitCode.DEGRADED
        screen.out(f"Set: {override}, {override.words}. Back: {back(override)}")
        return ExitCode.FINE


def size(text: str) -> int | None:
    if text == CONFIGURED:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ArgumentTypeError(f"{text!r} is neither a whole number nor the word {CONFIGURED}")
    return int(text)


class Overrides(Verb):
    """List the overrides that are in force now or later: pauses, sizes and reservations.

    Each is shown with who gave it, until when, why, and the command that undoes it.
    Exit code 0: success; 3: the database did not answer.
    """

    help = "list the overrides in force now or later, and how to undo them"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON list of objects")

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        standing = list(PoolOverride.objects.standing().order_by("starts_at", "pk"))
        if options["json"]:
            screen.out(json.dumps([override.report() for override in standing], cls=DjangoJSONEncoder, indent=1))
        else:
            screen.out(
                override_table(standing) if standing else "No override is in force: each pod keeps its configured size."
            )
        return ExitCode.FINE

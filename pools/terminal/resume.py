"""Take pauses back: the pool is filled again.

Exit code 0: done; 1: it was not paused, or is paused for all pods and not only for the one named.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from pools import orders
from pools.operator import operator
from pools.order_options import POOLS, add_pool_arguments
from pools.screen import Screen
from pools.terminal import ExitCode

HELP = "fill a paused pool again"


def add_arguments(parser: ArgumentParser) -> None:
    add_pool_arguments(parser)


def run(options: Mapping[str, Any], screen: Screen) -> int:
    cancelled = 0
    for pool in POOLS[options["pool"]]:
        try:
            cancelled += orders.resume(pool, pod=options["pod"] or "", by=operator())
        except orders.OrderRefused as refusal:
            screen.note(f"Refused: {refusal}.")
            return ExitCode.DEGRADED
    if not cancelled:
        screen.note("Nothing was paused.")
        return ExitCode.DEGRADED
    screen.out(f"{cancelled} pause{'s' if cancelled > 1 else ''} taken back.")
    return ExitCode.FINE

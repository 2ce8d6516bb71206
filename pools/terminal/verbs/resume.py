"""Take pauses back: the pool is filled again.

Exit code 0: nothing is paused any more; 1: it is paused for all pods and not only for the one named.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from common.display import counted
from pools.operators import orders
from pools.terminal.operator import operator
from pools.terminal.order_options import POOLS, add_pool_arguments
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

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
        return ExitCode.FINE
    screen.out(f"{counted(cancelled, 'pause')} taken back.")
    return ExitCode.FINE

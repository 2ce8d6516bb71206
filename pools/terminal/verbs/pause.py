"""Make nothing more for the stock of a pool. What is in stock is still given out, what is on demand still made.

It stays so until `pools resume`, or for --minutes. Exit code 0: ordered; 1: refused, and why.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from pools.models import PoolOrder
from pools.operators import orders
from pools.terminal.operator import operator
from pools.terminal.order_options import POOLS, add_order_arguments, add_pool_arguments, until
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "make nothing more for the stock of a pool"


def add_arguments(parser: ArgumentParser) -> None:
    add_pool_arguments(parser)
    add_order_arguments(parser)


def run(options: Mapping[str, Any], screen: Screen) -> int:
    for pool in POOLS[options["pool"]]:
        if earlier := PoolOrder.objects.in_force().pauses().filter(pool=pool, pod_name=options["pod"] or "").first():
            screen.note(f"In force already: {earlier}, {earlier.words}. This one is added; resume takes back both.")
        try:
            order = orders.pause(
                pool, pod=options["pod"] or "", until=until(options), by=operator(), why=options["why"]
            )
        except orders.OrderRefused as refusal:
            screen.note(f"Refused: {refusal}.")
            return ExitCode.DEGRADED
        screen.out(f"Ordered: {order}, {order.words}. Back: manage.py pools resume {options['pool']}")
    return ExitCode.FINE

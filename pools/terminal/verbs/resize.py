"""Set what each pod keeps in stock, within its hard limits, instead of the configured size and of what demand asks for.

    manage.py pools resize processes 6 --minutes 30 --why "campaign"
    manage.py pools resize rooms configured

Exit code 0: ordered; 1: refused, and why.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from common.display import counted
from pools.operators import orders
from pools.terminal.operator import operator
from pools.terminal.order_list import back
from pools.terminal.order_options import POOLS, add_order_arguments, add_pool_arguments, until
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "set what each pod keeps in stock, for a time or until it is taken back"
CONFIGURED = "configured"


def size(text: str) -> int | None:
    if text == CONFIGURED:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ArgumentTypeError(f"{text!r} is neither a whole number nor the word {CONFIGURED}")
    return int(text)


def add_arguments(parser: ArgumentParser) -> None:
    add_pool_arguments(parser, ["processes", "rooms"])
    parser.add_argument("size", type=size, metavar="SIZE", help="of each pod; `configured` takes such orders back")
    add_order_arguments(parser)


def run(options: Mapping[str, Any], screen: Screen) -> int:
    (pool,) = POOLS[options["pool"]]
    pod = options["pod"] or ""
    if options["size"] is None:
        screen.out(f"{counted(orders.unsize(pool, pod=pod, by=operator()), 'order')} taken back.")
        return ExitCode.FINE
    try:
        order = orders.resize(pool, options["size"], pod=pod, until=until(options), by=operator(), why=options["why"])
    except orders.OrderRefused as refusal:
        screen.note(f"Refused: {refusal}.")
        return ExitCode.DEGRADED
    screen.out(f"Ordered: {order}, {order.words}. Back: {back(order)}")
    return ExitCode.FINE

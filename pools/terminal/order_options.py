"""What the verbs `pause`, `resume` and `resize` have in common: which pool, which pod, how long, why."""

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from pools.decisions.targets import Pool
from pools.terminal import quantities
from pools.terminal.pod_choice import add_pod_option

POOLS: dict[str, tuple[Pool, ...]] = {
    "processes": (Pool.AGENTS,),
    "rooms": (Pool.ROOMS,),
    "both": (Pool.AGENTS, Pool.ROOMS),
}


def add_pool_arguments(parser: ArgumentParser, choices: Iterable[str] = tuple(POOLS)) -> None:
    parser.add_argument("pool", choices=list(choices), help="which pool")
    add_pod_option(parser, "of this pod only")


def add_order_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--minutes", type=quantities.minutes, metavar="N", help="for so long (default: until it is taken back)"
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="shown with the order")


def until(options: Mapping[str, Any]) -> datetime | None:
    minutes = options["minutes"]
    return None if minutes is None else timezone.now() + timedelta(minutes=minutes)

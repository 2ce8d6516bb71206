"""All orders that stand, in force now or later: pauses, sizes, reservations; by whom, until when, and how to undo them.

Exit code 0: told; 3: the database did not answer.
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from pools.models import PoolOrder
from pools.terminal.order_list import order_table
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "which orders stand, and how to take them back"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs: a list of objects")


def run(options: Mapping[str, Any], screen: Screen) -> int:
    standing = list(PoolOrder.objects.standing().order_by("starts_at", "pk"))
    if options["json"]:
        screen.out(json.dumps([order.report() for order in standing], cls=DjangoJSONEncoder, indent=1))
    else:
        screen.out(order_table(standing) if standing else "No order stands: each pod keeps what is configured.")
    return ExitCode.FINE

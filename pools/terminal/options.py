"""Arguments that several verbs share (pool, pod, duration, reason), and how overrides are shown on a terminal."""

import getpass
import os
import socket
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from pools.decisions.targets import Action, Pool
from pools.models import Pod, PoolOverride
from pools.terminal import quantities
from pools.terminal.screen import table

POOLS: dict[str, tuple[Pool, ...]] = {
    "processes": (Pool.AGENTS,),
    "rooms": (Pool.ROOMS,),
    "both": (Pool.AGENTS, Pool.ROOMS),
}


def add_pool_arguments(parser: ArgumentParser, choices: Iterable[str] = tuple(POOLS)) -> None:
    parser.add_argument("pool", choices=list(choices), help="which pool")
    add_pod_option(parser, "of this pod only")


def add_override_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--minutes", type=quantities.minutes, metavar="N", help="duration (default: until you take it back)"
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="reason, shown with the override")


def until(options: Mapping[str, Any]) -> datetime | None:
    """When the override ends, by --minutes; None: when it is cancelled."""
    minutes = options["minutes"]
    return None if minutes is None else timezone.now() + timedelta(minutes=minutes)


def operator() -> str:
    """Who acts: USER@HOST, with the user behind sudo if there is one."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # in a container the user often has no name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def add_pod_argument(parser: ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="name of a running pod (see `manage.py pools status`)")


def add_pod_option(parser: ArgumentParser, meaning: str) -> None:
    parser.add_argument("--pod", metavar="POD", help=f"{meaning} (default: all)")


def chosen_pod(options: Mapping[str, Any]) -> Pod:
    """The pod that is named on the command line. Raises CommandError if none of this name runs."""
    name = options["pod"]
    pod = Pod.objects.current().filter(name=name).first()
    if pod is None:
        running = ", ".join(Pod.objects.current().order_by("name").values_list("name", flat=True)[:20]) or "none"
        raise CommandError(f"no pod is named {name[:100]!r}; running: {running}")
    return pod


def override_table(overrides: Iterable[PoolOverride]) -> str:
    head = ("override", "from", "until", "by", "why", "undo: manage.py")
    rows = [
        (
            override,
            clock(override.starts_at),
            clock(override.ends_at) or "taken back",
            override.ordered_by,
            override.reason,
            undo(override),
        )
        for override in overrides
    ]
    return table(head, rows)


def back(override: PoolOverride) -> str:
    """The command that undoes the override."""
    return f"manage.py {undo(override)}"


def undo(override: PoolOverride) -> str:
    """The same without `manage.py`."""
    pod = f" --pod {override.pod_name}" if override.pod_name else ""
    match override.action:
        case Action.PAUSE:
            return f"pools resume {override.pool_word}{pod}"
        case Action.SIZE:
            return f"pools resize {override.pool_word} configured{pod}"
    return f"pools reserve --cancel {override.uuid}"


def clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""

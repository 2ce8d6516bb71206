"""Replace what is in stock, a few at a time, so that it never runs dry.

Good after a change of Daily's settings, or when warm processes behave oddly. What is in a
session is not touched; it ends with it anyway.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from common.display import counted
from pools.models import AgentProcess, Room
from pools.operators import steering
from pools.terminal.operator import operator
from pools.terminal.pod_choice import add_pod_option, chosen_pod
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "replace the stock of agent processes and rooms, a few at a time"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pool", choices=["processes", "rooms", "both"], help="what to replace")
    add_pod_option(parser, "of this pod only")


def run(options: Mapping[str, Any], screen: Screen) -> int:
    pod = chosen_pod(options) if options["pod"] else None
    processes, rooms = AgentProcess.objects.available(), Room.objects.available()
    if pod:
        processes, rooms = processes.filter(pod=pod), rooms.filter(pod=pod)
    if options["pool"] != "rooms":
        number = steering.recycle_processes(processes, operator())
        screen.out(f"To be replaced: {counted(number, 'agent process', 'agent processes')}.")
    if options["pool"] != "processes":
        screen.out(f"To be replaced: {counted(steering.retire_rooms(rooms, operator()), 'room')}.")
    return ExitCode.FINE

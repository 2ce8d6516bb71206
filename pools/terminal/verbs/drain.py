"""Take a pod out of service: it is given no more sessions and keeps no stock; the others adopt its rooms. Calls go on.

It stays so until `pools undrain`, or until the pod ends. --wait returns when its last call is over.
Exit code 0: done; 1: it drains already, or calls were not over in time.
"""

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from common.display import counted, duration
from pools.models import AgentProcess, Pod
from pools.operators import steering
from pools.terminal.operator import operator
from pools.terminal.pod_choice import add_pod_argument, chosen_pod
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "take a pod out of service; its calls go on"
LOOK_S = 0.2


def add_arguments(parser: ArgumentParser) -> None:
    add_pod_argument(parser)
    parser.add_argument("--wait", action="store_true", help="return when no agent process of it is left")
    parser.add_argument(
        "--timeout", type=float, default=1800.0, metavar="SECONDS", help="how long --wait waits (default: 1800)"
    )


def run(options: Mapping[str, Any], screen: Screen) -> int:
    pod = chosen_pod(options)
    last = steering.leaves_none([pod])
    if not steering.drain(pod, operator()):
        screen.note(f"{pod.name} drains already.")
        return ExitCode.DEGRADED
    if last:
        screen.note(f"{pod.name} was the only pod in service: callers get 503 until it or another one is.")
    screen.out(f"{pod.name} is out of service. Back: manage.py pools undrain {pod.name}")
    return wait_for_calls(pod, options["timeout"], screen) if options["wait"] else ExitCode.FINE


def wait_for_calls(pod: Pod, timeout: float, screen: Screen) -> ExitCode:
    began, told = time.monotonic(), -1
    while left := AgentProcess.objects.current().filter(pod=pod).count():
        waited = time.monotonic() - began
        if waited >= timeout:
            screen.note(f"{counted(left, 'agent process', 'agent processes')} after {timeout:g} s.")
            return ExitCode.DEGRADED
        if left != told:
            screen.note(f"Waiting: {counted(left, 'agent process', 'agent processes')} left.")
            told = left
        time.sleep(LOOK_S)
    screen.out(f"{pod.name} has no agent process left after {duration(time.monotonic() - began)}.")
    return ExitCode.FINE

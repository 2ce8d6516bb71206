"""Bring a pod back into service that an operator has taken out of it.

Exit code 0: done; 1: no operator has drained it, or it is about to end (SIGTERM), which cannot be taken back.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from pools.operators import steering
from pools.terminal.operator import operator
from pools.terminal.pod_choice import add_pod_argument, chosen_pod
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "bring a drained pod back into service"


def add_arguments(parser: ArgumentParser) -> None:
    add_pod_argument(parser)


def run(options: Mapping[str, Any], screen: Screen) -> int:
    pod = chosen_pod(options)
    if not steering.undrain(pod, operator()):
        screen.note(f"{pod.name} is about to end." if pod.draining else f"{pod.name} is in service.")
        return ExitCode.DEGRADED
    screen.out(f"{pod.name} is back in service.")
    return ExitCode.FINE

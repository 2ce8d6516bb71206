"""The verbs for pods and their ready items: `drain`, `uncordon`, `recycle`."""

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from common.display import counted, duration
from pools.models import AgentProcess, Pod, Room
from pools.operators import steering
from pools.terminal.options import add_pod_argument, add_pod_option, chosen_pod, operator
from pools.terminal.screen import ExitCode, Screen, Verb

POLL_S = 0.2


class Drain(Verb):
    """Take a pod out of service: it gets no more sessions and keeps nothing ready; other pods adopt its rooms.

    Its calls go on. It stays out of service until `pools uncordon`, or until it ends. --wait returns when its last call
    is over.
    Exit code 0: success; 1: the pod is draining already, or its calls were not over in time.
    """

    help = "take a pod out of service; its calls go on"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_pod_argument(parser)
        parser.add_argument("--wait", action="store_true", help="return when the pod has no agent process left")
        parser.add_argument(
            "--timeout", type=float, default=1800.0, metavar="SECONDS", help="how long --wait waits (default: 1800)"
        )

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        pod = chosen_pod(options)
        last = steering.leaves_none([pod])
        if not steering.drain(pod, operator()):
            screen.note(f"{pod.name} drains already.")
            return ExitCode.DEGRADED
        if last:
            screen.note(f"{pod.name} was the only pod in service: callers get 503 until it or another one is.")
        screen.out(f"{pod.name} is out of service. Back: manage.py pools uncordon {pod.name}")
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
        time.sleep(POLL_S)
    screen.out(f"{pod.name} has no agent process left after {duration(time.monotonic() - began)}.")
    return ExitCode.FINE


class Uncordon(Verb):
    """Bring a pod back into service that an operator has drained.

    Exit code 0: success; 1: no operator has drained it, or it is about to end (SIGTERM), which cannot be undone.
    """

    help = "bring a drained pod back into service"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_pod_argument(parser)

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        pod = chosen_pod(options)
        if not steering.uncordon(pod, operator()):
            screen.note(f"{pod.name} is about to end." if pod.draining else f"{pod.name} is in service.")
            return ExitCode.DEGRADED
        screen.out(f"{pod.name} is back in service.")
        return ExitCode.FINE


class Recycle(Verb):
    """Replace the ready items of a pool, a few at a time, so that it never runs empty.

    Use it after a change of settings at Daily, or when warm processes behave oddly. Items in a session are not touched;
    they end with the session.
    """

    help = "replace ready agent processes and rooms, a few at a time"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pool", choices=["processes", "rooms", "both"], help="what to replace")
        add_pod_option(parser, "of this pod only")

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
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

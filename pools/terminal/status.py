"""The verbs that read the state of the pools: `status`, `wait`."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError, connection
from django.utils import timezone

from common.database import is_connection_failure, no_database
from common.display import NONE, duration, since
from pools.decisions.targets import CONFIGURED
from pools.status.readiness import what_is_missing
from pools.status.state import PodState, PoolState, Stock, details, read_state, report
from pools.terminal.options import override_table
from pools.terminal.screen import ExitCode, Screen, Verb, one_line, table

RECONNECT_S = 1.0
SHORTEST_PAUSE_S = 0.5
WORTH_TELLING_S = 1.0  # an open transaction of that age; younger ones are everyday work
POLL_S = 0.2


class Status(Verb):
    """Show the state of the pools, pod by pod, and what is wrong.

    Exit code 0: healthy; 1: degraded, with the reasons; 3: the database does not answer.
    """

    help = "show the state of the pools and what is wrong; --watch repeats"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--watch",
            "-w",
            type=float,
            nargs="?",
            const=1.0,
            metavar="SECONDS",
            help="repeat every second (or every SECONDS, at least 0.5) until Ctrl-C; with --json: one object a line",
        )

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        if options["watch"] is None:
            state = read_state()
            screen.out(as_json(state, indent=2) if options["json"] else picture(state, screen))
            return code_of(state)
        pause = max(SHORTEST_PAUSE_S, options["watch"])
        if options["json"] or not screen.is_terminal:
            while True:
                state = read_state()
                screen.out(as_json(state) if options["json"] else picture(state, screen) + "\n")
                time.sleep(pause)
        return watch(screen, pause)


def watch(screen: Screen, pause: float) -> int:
    """Redraw the state until Ctrl-C. If the database goes away, wait for it. Returns the last exit code."""
    code = ExitCode.UNKNOWN
    with screen.kept():
        while True:
            try:
                state = read_state()
                screen.draw(picture(state, screen))
                code = code_of(state)
            except OperationalError as error:
                screen.draw(screen.style.ERROR(f"The database does not answer: {one_line(str(error))}"))
                code, pause = ExitCode.UNKNOWN, max(pause, RECONNECT_S)
            try:
                time.sleep(pause)
            except KeyboardInterrupt:
                return code


def code_of(state: PoolState) -> ExitCode:
    return ExitCode.DEGRADED if state.reasons() else ExitCode.FINE


def as_json(state: PoolState, indent: int | None = None) -> str:
    """The counts of both pools, and the details of the pods, as JSON."""
    answer = report(state, state.agents)
    content = {
        "at": timezone.now(),
        "status": answer["status"],
        "reasons": answer["reasons"],
        "agent_processes": counts(state.agents),
        "rooms": counts(state.rooms),
        **details(state),
    }
    return json.dumps(content, cls=DjangoJSONEncoder, indent=indent)


def counts(stock: Stock) -> dict[str, int]:
    return stock.published() | {"max_pool_size": stock.cap}


def picture(state: PoolState, screen: Screen) -> str:
    """The state as text for people."""
    reasons = state.reasons()
    verdict = screen.style.ERROR("degraded") if reasons else screen.style.SUCCESS("healthy")
    lines = [f"Pools: {verdict}    {timezone.now():%Y-%m-%d %H:%M:%S} UTC"]
    lines += [screen.style.WARNING(f"  {one_line(reason)}") for reason in reasons]
    pools = (("agent processes", state.agents), ("rooms", state.rooms))
    lines += ["", table(("pool", "available", "target", "cap", "warming", "in use"), [row(*pool) for pool in pools])]
    pods = [pod_row(pod) for pod in state.pods]
    head = ("pod", "version", "state", "heartbeat", "up", "processes", "rooms", "in use", "free slots", "trouble")
    lines += ["", table(head, pods) if pods else "No pod runs."]
    if state.agents.prejoined:
        lines += [
            "",
            f"Pre-joined pairs in stock: {state.agents.prejoined}, on top of the targets and caps that are configured",
        ]
    lines += unusual_targets(state)
    if state.rollout:
        lines += ["", f"Roll-out: {state.rollout}, by {state.rollout.set_by} (manage.py pools rollout)"]
    if in_force := [override for override in state.overrides if override.begun]:  # type: ignore[attr-defined]
        lines += ["", "Overrides in force (all: manage.py pools overrides)", override_table(in_force)]
    lines += ["", f"Sessions that wait for a process: {state.waiting_sessions}"]
    if state.oldest_transaction is None:
        lines.append("Oldest open transaction: unknown (the database's role has to be granted pg_read_all_stats)")
    elif state.oldest_transaction >= WORTH_TELLING_S:
        lines.append(f"Oldest open transaction: {duration(state.oldest_transaction)}")
    return "\n".join(lines)


def unusual_targets(state: PoolState) -> list[str]:
    """Lines that say why a target is not the configured size."""
    reasons = [
        f"  {each.pod.name}: {name} {stock.pool_size}, {why}"
        for each in state.pods
        if each.taking
        for name, stock, why in (
            ("processes", each.agents, each.pod.agent_target_why),
            ("rooms", each.rooms, each.pod.room_target_why),
        )
        if why not in ("", CONFIGURED)
    ]
    return ["", "Targets that are not the configured ones:", *map(one_line, reasons)] if reasons else []


def row(name: str, stock: Stock) -> tuple[str, int, int, int, int, int]:
    return name, stock.available, stock.pool_size, stock.cap, stock.warming, stock.in_use


def pod_row(state: PodState) -> tuple[object, ...]:
    return (
        state.pod.name,
        state.pod.version or NONE,
        state.word,
        "<1 s ago" if state.heartbeat_age < 1 else f"{duration(state.heartbeat_age)} ago",
        since(state.pod.started_at),
        level(state.agents),
        level(state.rooms),
        state.agents.in_use,
        state.pod.free_slots,
        one_line(state.pod.agent_trouble)[:60] or NONE,
    )


def level(stock: Stock) -> str:
    """Available of target: 3/3, or 1/3 +2 with two warming."""
    return f"{stock.available}/{stock.pool_size}" + (f" +{stock.warming}" if stock.warming else "")


class Wait(Verb):
    """Wait until the pools are full.

    Each live pod must have its target of available agent processes, and all pods together their target of rooms. A pod
    that has not registered yet is not counted: say how many you expect with --pods. A pool with the target 0 (paused,
    or of size 0) is never ready. Exit code 0: ready; 1: not in time, with what was missing; 3: the database did not
    answer.
    """

    help = "wait until the pools are full"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--ready", action="store_true", help="until the pools are full (the default)")
        parser.add_argument("--pods", type=int, default=1, metavar="N", help="wait for at least N pods (default: 1)")
        parser.add_argument(
            "--timeout",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="give up after SECONDS (default: 60; 0: check once)",
        )

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        began = time.monotonic()
        told: list[str] = []
        while True:
            missing, code = check(options["pods"])
            waited = time.monotonic() - began
            if not missing:
                screen.out(f"Ready after {duration(waited)}.")
                return ExitCode.FINE
            if waited >= options["timeout"]:
                screen.note(f"Not ready within {options['timeout']:g} s: {'; '.join(missing)}")
                return code
            if missing != told:
                screen.note(f"Waiting: {'; '.join(missing)}")
                told = missing
            time.sleep(min(POLL_S, max(0.0, options["timeout"] - waited)))


def check(pods: int) -> tuple[list[str], ExitCode]:
    """What is missing, and the exit code for it. A database that is not up yet counts as missing."""
    try:
        return what_is_missing(read_state(), pods=pods), ExitCode.DEGRADED
    except OperationalError as error:
        connection.close()
        if not is_connection_failure(error):
            raise
        return [no_database(error)], ExitCode.UNKNOWN

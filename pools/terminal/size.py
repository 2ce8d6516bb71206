"""The verb `size`: recommend sizes for a goal."""

from argparse import ArgumentParser
from collections.abc import Mapping
from math import ceil
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from common.display import counted, duration
from pools.agent.memory import private_bytes
from pools.decisions.demand import REACTION_S, peakedness
from pools.models import AgentProcess, DailyAccount
from pools.sizing.recommendation import Conditions, Goal, OutOfReach, Sizes, cost, per_pod, recommend
from pools.sizing.recorded import daily_allowances
from pools.sizing.simulation import Result, Simulation, World
from pools.terminal import quantities
from pools.terminal.screen import ExitCode, Screen, Verb, table
from pools.terminal.sizing_options import Callers, add_callers, callers, pods

NINES = (0.9, 0.99, 0.999, 0.9999)
MORE = (1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
FEW = 1000
FORK_S = 0.01
IDLE_BYTES = 3.5e6  # measured with the default bot: see docs/operations.md


class Size(Verb):
    """Recommend pool sizes for a goal, and show what one more nine of hit rate would cost.

        manage.py pools size --arrivals 2/s --p99-under 300ms
        manage.py pools size --arrivals 2/s --pattern bursts --hit-rate 99.9%
        manage.py pools size --from-history 7d --hit-rate 99.9%

    The size follows from the rate of the arrivals, how much they come in bursts, and the time that a replacement takes
    (pools/decisions/demand.py names the sources). The result is checked with a simulation of the same callers. Nothing
    is changed: put the sizes into the environment, or set them with `pools resize`.
    """

    help = "recommend sizes for a goal (--arrivals 2/s --p99-under 300ms)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_callers(parser)
        goal = parser.add_mutually_exclusive_group()
        goal.add_argument(
            "--hit-rate",
            type=quantities.share,
            metavar="SHARE",
            help="share of sessions that start warm (default: 99.9%%)",
        )
        goal.add_argument(
            "--p99-under",
            type=quantities.duration,
            metavar="TIME",
            help="time within which 99%% of sessions are acknowledged",
        )

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        who = callers(options)
        number = pods(options)
        conditions = conditions_of(who, number)
        goal = Goal(0.99, options["p99_under"]) if options["p99_under"] else Goal(options["hit_rate"] or 0.999)
        try:
            sizes, result = confirmed(recommend(goal, conditions), goal, who, conditions, number)
        except OutOfReach as problem:
            raise CommandError(str(problem)) from None
        screen.out("\n".join(description(who, conditions, number)))
        pairs = f"{counted(sizes.agents, 'agent process', 'agent processes')} and {counted(sizes.rooms, 'room')}"
        screen.out(f"\nFor {in_words(goal)}: {pairs} in all.\n")
        screen.out("\n".join(settings_for(sizes, number, who.most_calls)))
        screen.out(f"\n{in_figures(result)}\n\nWhat the next nine costs:\n")
        screen.out(prices(conditions, number))
        return ExitCode.FINE


def conditions_of(who: Callers, number: int) -> Conditions:
    account = DailyAccount.objects.filter(pk=1).first()
    minted = account is not None and account.verified_at is not None and not account.self_signed_tokens
    at_once = peakedness(who.arrivals, who.agent_making + REACTION_S, who.span)
    making = who.agent_making + FORK_S * (at_once - 1) / number  # the last of a burst waits for the forks before it
    return Conditions(
        rate=who.rate,
        agent_making=making,
        room_making=who.room_making,
        agent_peakedness=peakedness(who.arrivals, making + REACTION_S, who.span),
        room_peakedness=peakedness(who.arrivals, who.room_making + REACTION_S, who.span),
        warm_start=who.warm_start,
        agent_bytes=measured_bytes() or IDLE_BYTES,
        room_pool_life=settings.DAILY_ROOM_POOL_LIFE,
        room_calls=4 if minted else 2,
    )


def measured_bytes() -> float:
    """Private bytes of an idle agent process on this host, on average; 0 if there is none."""
    pids = AgentProcess.objects.available().order_by("-id").values_list("os_pid", flat=True)[:10]
    found = [size for pid in pids if pid and (size := private_bytes(pid))]
    return sum(found) / len(found) if found else 0.0


def description(who: Callers, conditions: Conditions, number: int) -> list[str]:
    return [
        f"Callers: {who.source}: {who.rate:.3g} a second.",
        f"A process takes {duration(who.agent_making)}, a room {duration(who.room_making)}, "
        f"a warm start {duration(who.warm_start)}. Pods: {number}.",
        f"Bursts (1: none): {conditions.agent_peakedness:.1f} within the time to replace a process, "
        f"{conditions.room_peakedness:.1f} within that of a room.",
    ]


def in_words(goal: Goal) -> str:
    if goal.within is None:
        return f"{100 * goal.share:.6g} % of sessions warm"
    return f"99 % of sessions acknowledged within {duration(goal.within)}"


def settings_for(sizes: Sizes, number: int, calls: int) -> list[str]:
    agents, rooms = per_pod(sizes.agents, number), per_pod(sizes.rooms, number)
    return [
        "For each pod:",
        f"  VOICE_AGENT_POOL_SIZE={agents}",
        f"  VOICE_AGENT_MAX_POOL_SIZE={2 * agents}      (room to follow demand)",
        f"  DAILY_ROOM_POOL_SIZE={rooms}",
        f"  DAILY_ROOM_MAX_POOL_SIZE={2 * rooms}",
        f"  VOICE_AGENT_MAX_PROCESSES={per_pod(calls, number) + 2 * agents}     (up to {calls} calls and the stock)",
    ]


def confirmed(sizes: Sizes, goal: Goal, who: Callers, conditions: Conditions, number: int) -> tuple[Sizes, Result]:
    """The formula knows bursts by two numbers only: raise its sizes until the callers themselves are served."""
    for more in MORE:
        tried = cost(ceil(sizes.agents * more), ceil(sizes.rooms * more), conditions)
        result = simulated(who, tried, number)
        if share_in_time(result, goal) >= goal.share:
            break
    return tried, result


def share_in_time(result: Result, goal: Goal) -> float:
    if goal.within is None:
        return result.hit_rate
    within = goal.within
    return result.share(lambda start: start.wait is not None and start.wait <= within)


def in_figures(result: Result) -> str:
    waits = result.waits()
    p99 = waits[int(0.99 * len(waits))] if waits else 0.0
    few = " (few callers: a rough figure)" if len(waits) < FEW else ""
    return (
        f"Simulated with these sizes: {result.hit_rate:.2%} of {len(result.starts)} warm, "
        f"99% acknowledged within {duration(p99)}{few}."
    )


def simulated(who: Callers, sizes: Sizes, number: int) -> Result:
    agents, rooms = per_pod(sizes.agents, number), per_pod(sizes.rooms, number)
    replenish, on_demand = daily_allowances()
    world = World(
        pods=number, agent_size=agents, agent_cap=agents, room_size=rooms, room_cap=rooms, max_processes=100_000,
        agent_making=who.agent_making, room_making=who.room_making, warm_start=who.warm_start,
        call_length=who.call_length, daily_calls=replenish, daily_calls_on_demand=on_demand,
    )  # fmt: skip
    return Simulation(world, who.arrivals).run(who.span)


def prices(conditions: Conditions, number: int) -> str:
    head = ("warm", "processes", "rooms", "per pod", "memory", "room-minutes a day", "calls to Daily a day")
    rows = []
    for share in NINES:
        sizes = recommend(Goal(share), conditions)
        rows.append(
            (
                f"{100 * share:.4g} %",
                sizes.agents,
                sizes.rooms,
                f"{per_pod(sizes.agents, number)} + {per_pod(sizes.rooms, number)}",
                f"{sizes.agent_bytes / 1e6:.0f} MB",
                round(sizes.room_minutes_a_day),
                round(sizes.daily_calls_a_day),
            )
        )
    return table(head, rows)

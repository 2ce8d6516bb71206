"""The verb `simulate`: try sizes on recorded or invented callers."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

from django.conf import settings

from common.display import counted, duration
from pools.decisions.targets import Action, Override
from pools.sizing.recorded import daily_allowances
from pools.sizing.simulation import Result, Sample, Simulation, World
from pools.terminal import quantities
from pools.terminal.screen import ExitCode, Screen, Verb, plot, table
from pools.terminal.sizing_options import Callers, add_callers, callers, count, pods

RESERVATION = re.compile(r"(\d+)@([^+]+)\+(.+)")
PERCENTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


class Simulate(Verb):
    """Try sizes on recorded or invented callers: how many would start warm, how long others wait, what is ready when.

        manage.py pools simulate --arrivals 0.5/s --pattern campaigns --processes 3..40 --rooms 5..40
        manage.py pools simulate --from-history 1d --processes 8 --rooms 10
        manage.py pools simulate --arrivals 2/s --reserve 60@20m+10m

    The decisions are made by the code of the running pods: they follow demand between SIZE and MAX, obey reservations,
    and call Daily no faster than its budget allows. Only the effects are simulated: how long a process, a room and a
    call take. A caller who finds no free slot (--max-processes) is refused; the other figures are those of the callers
    who were served. The running service is not touched.
    """

    help = "try sizes on recorded or invented callers; plots ready items and waits"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_callers(parser)
        parser.add_argument(
            "--processes", type=sizes, metavar="SIZE[..MAX]", help="of each pod (default: as configured)"
        )
        parser.add_argument("--rooms", type=sizes, metavar="SIZE[..MAX]", help="of each pod (default: as configured)")
        parser.add_argument(
            "--max-processes", type=count, metavar="N", help="of each pod, calls included (default: as configured)"
        )
        parser.add_argument(
            "--hit-rate",
            type=quantities.share,
            default=settings.POOL_HIT_RATE,
            metavar="SHARE",
            help="hit rate that the pools aim at when they follow demand (default: as configured)",
        )
        parser.add_argument(
            "--reserve",
            type=reservation,
            action="append",
            default=[],
            metavar="PAIRS@AFTER+FOR",
            help="a reservation such as 60@20m+10m; may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="print figures and samples as one JSON object")

    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        who = callers(options)
        world = world_of(options, who)
        result = Simulation(world, who.arrivals, options["reserve"]).run(who.span)
        if options["json"]:
            screen.out(json.dumps(figures(result) | {"samples": [vars(sample) for sample in result.samples]}, indent=1))
        else:
            screen.out(f"Callers: {who.source}. {in_words(world)}\n")
            screen.out("\n\n".join(plots(who, result)))
            screen.out(f"{'':8}0 s{duration(who.span):>69}\n")
            screen.out(tables(result))
            if verdict := too_few_slots(result, world, who):
                screen.out(f"\n{screen.style.WARNING(verdict)}")
        return ExitCode.FINE


def sizes(text: str) -> tuple[int, int]:
    """Parse a size and its cap: 3 or 3..40."""
    low, _, high = text.partition("..")
    if not low.isdecimal() or not (high or low).isdecimal() or int(low) > int(high or low):
        raise ArgumentTypeError(f"{text!r} is not a size such as 8, or a size and its cap such as 3..40")
    return int(low), int(high or low)


def reservation(text: str) -> Override:
    found = RESERVATION.fullmatch(text)
    if not found:
        raise ArgumentTypeError(
            f"{text!r} is not a reservation such as 60@20m+10m (pairs, after how long, for how long)"
        )
    begin, lasting = quantities.duration(found[2]), quantities.duration(found[3])
    return Override(1, Action.RESERVE, size=int(found[1]), starts_in=begin, ends_in=begin + lasting)


def world_of(options: Mapping[str, Any], who: Callers) -> World:
    processes = options["processes"] or (settings.VOICE_AGENT_POOL_SIZE, settings.VOICE_AGENT_MAX_POOL_SIZE)
    rooms = options["rooms"] or (settings.DAILY_ROOM_POOL_SIZE, settings.DAILY_ROOM_MAX_POOL_SIZE)
    replenish, on_demand = daily_allowances()
    return World(
        pods=pods(options),
        agent_size=processes[0],
        agent_cap=processes[1],
        room_size=rooms[0],
        room_cap=rooms[1],
        max_processes=options["max_processes"] or settings.VOICE_AGENT_MAX_PROCESSES,
        hit_rate=options["hit_rate"],
        agent_making=who.agent_making,
        room_making=who.room_making,
        daily_calls=replenish,
        daily_calls_on_demand=on_demand,
        call_length=who.call_length,
        warm_start=who.warm_start,
        seed=options["seed"],
    )


def in_words(world: World) -> str:
    return (
        f"{counted(world.pods, 'pod')} of {world.agent_size}..{world.agent_cap} processes and "
        f"{world.room_size}..{world.room_cap} rooms,"
        f" at most {world.max_processes} processes each; a process takes {duration(world.agent_making)}, "
        f"a room {duration(world.room_making)}, a call {duration(world.call_length)}."
    )


def plots(who: Callers, result: Result) -> list[str]:
    def of(value: Callable[[Sample], int]) -> list[float]:
        return [float(value(sample)) for sample in result.samples]

    came = [0.0] * (int(who.span) + 1)
    missed, refused = list(came), list(came)
    for start in result.starts:
        came[int(start.at)] += 1
        missed[int(start.at)] += not start.warm and not start.refused
        refused[int(start.at)] += start.refused
    return [
        plot("callers a second", came, height=4),
        *([plot("of them refused", refused, height=3)] if any(refused) else []),
        plot("of them not warm", missed, height=3),
        plot("agent processes in stock", of(lambda sample: sample.agents), height=4),
        plot("their target", of(lambda sample: sample.agent_target), height=4),
        plot("rooms in stock", of(lambda sample: sample.rooms), height=4),
        plot("their target", of(lambda sample: sample.room_target), height=4),
        plot("calls", of(lambda sample: sample.busy), height=4),
    ]


def figures(result: Result) -> dict[str, Any]:
    waits = result.waits()
    return {
        "callers": len(result.starts),
        "warm": result.hit_rate,
        "without_process": result.share(lambda start: not start.agent),
        "without_room": result.share(lambda start: not start.room),
        "refused": result.refused,
        "waits": {f"p{100 * share:g}": at(waits, share) for share in PERCENTILES},
        "agents_in_stock": result.average(lambda sample: sample.agents),
        "rooms_in_stock": result.average(lambda sample: sample.rooms),
        "rooms_made": result.rooms_made,
    }


def at(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def tables(result: Result) -> str:
    found = figures(result)
    starts = [
        ("refused (no free slot)", f"{found['refused']:.2%}"),
        ("of those served: warm", f"{found['warm']:.2%}"),
        ("found no process", f"{found['without_process']:.2%}"),
        ("found no room", f"{found['without_room']:.2%}"),
        ("processes in stock, on average", f"{found['agents_in_stock']:.1f}"),
        ("rooms in stock, on average", f"{found['rooms_in_stock']:.1f}"),
        ("rooms made", found["rooms_made"]),
    ]
    waits = [(name, duration(seconds)) for name, seconds in found["waits"].items()]
    within = "acknowledged within (without the refused)" if found["refused"] else "acknowledged within"
    return table((counted(found["callers"], "caller"), ""), starts) + "\n\n" + table((within, ""), waits)


def too_few_slots(result: Result, world: World, who: Callers) -> str:
    """A warning if callers were refused, with a number of process slots that would serve everybody."""
    if not result.refused:
        return ""
    enough = ceil(1.1 * who.most_calls / world.pods) + world.agent_cap
    return (
        f"{result.refused:.1%} refused: {world.max_processes} processes a pod, calls included, are too few for up to "
        f"{counted(who.most_calls, 'call')} at one time; try --max-processes {max(enough, world.max_processes + 1)}"
    )

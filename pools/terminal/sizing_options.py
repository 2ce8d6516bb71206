"""Arguments of `size` and `simulate`: which callers come, and how long things take; typed, or read from history."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from pools.models import Pod
from pools.sizing.patterns import PATTERNS
from pools.sizing.recorded import Recorded, read_recorded
from pools.terminal import quantities

AGENT_MAKING_S, ROOM_MAKING_S, WARM_START_S, CALL_S = 0.06, 0.25, 0.02, 120.0
DEFAULT_HISTORY_S = 86_400.0


@dataclass(frozen=True)
class Callers:
    """The arrivals in a period of `span` seconds, and how long things take, in seconds."""

    arrivals: list[float]
    span: float
    agent_making: float
    room_making: float
    warm_start: float
    call_length: float
    source: str

    @property
    def rate(self) -> float:
        return len(self.arrivals) / self.span

    @property
    def most_calls(self) -> int:
        """The largest number of calls at one time, if each lasts as long as the average."""
        most, first = 0, 0
        for index, moment in enumerate(self.arrivals):
            while self.arrivals[first] < moment - self.call_length:
                first += 1
            most = max(most, index - first + 1)
        return most


def add_callers(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--arrivals", type=quantities.rate, metavar="RATE", help="rate of callers: 2/s, 120/min, 5000/h"
    )
    parser.add_argument(
        "--pattern",
        choices=sorted(PATTERNS),
        default="poisson",
        help="how callers arrive (default: poisson, independently)",
    )
    parser.add_argument(
        "--from-history",
        type=quantities.duration,
        nargs="?",
        const=DEFAULT_HISTORY_S,
        metavar="PERIOD",
        help="use arrivals, times and call lengths of the sessions of the last PERIOD (default: 1d)",
    )
    parser.add_argument(
        "--lasting",
        type=quantities.duration,
        default=3600.0,
        metavar="PERIOD",
        help="length of the pattern (default: 1h)",
    )
    parser.add_argument(
        "--process-takes",
        type=quantities.duration,
        metavar="TIME",
        help="time to get a process ready (default: as recorded, else 60ms)",
    )
    parser.add_argument(
        "--room-takes",
        type=quantities.duration,
        metavar="TIME",
        help="time to make a room at Daily (default: as recorded, else 250ms)",
    )
    parser.add_argument(
        "--call-takes",
        type=quantities.duration,
        metavar="TIME",
        help="length of a call (default: as recorded, else 2m)",
    )
    parser.add_argument(
        "--pods",
        type=count,
        metavar="N",
        help="number of pods that share the callers (default: the running ones, or 1)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the random numbers (default: 1)")


def count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000")
    return int(text)


def callers(options: Mapping[str, Any]) -> Callers:
    """The callers that the options describe. Raises CommandError if there are none."""
    lasting = options["from_history"]
    if lasting is None and options["arrivals"] is None:
        raise CommandError("who comes? --arrivals 2/s, or --from-history 1d to learn from recorded sessions")
    if lasting is not None and options["arrivals"] is not None:
        raise CommandError("either --arrivals or --from-history: one says who comes")
    now = timezone.now()
    history = read_recorded(now - timedelta(seconds=lasting or DEFAULT_HISTORY_S), now)
    if lasting is None:
        span = options["lasting"]
        arrivals = PATTERNS[options["pattern"]](options["arrivals"], span, options["seed"])
        source = f"{len(arrivals)} callers in {span:g} s, pattern {options['pattern']}"
    else:
        arrivals, span = recorded(history)
        source = f"{len(arrivals)} recorded sessions in {span:.0f} s"
    if not arrivals:
        raise CommandError("nobody comes in this time: take a longer one, or more arrivals")
    return Callers(
        arrivals=arrivals,
        span=span,
        agent_making=options["process_takes"] or history.agent_making or AGENT_MAKING_S,
        room_making=options["room_takes"] or history.room_making or ROOM_MAKING_S,
        warm_start=history.warm_start or WARM_START_S,
        call_length=options["call_takes"] or history.call_length or CALL_S,
        source=source,
    )


def recorded(history: Recorded) -> tuple[list[float], float]:
    """Arrivals and length of the recorded time, from its first session on: before it the service may not have run."""
    if not history.arrivals:
        return [], history.span
    first = history.arrivals[0]
    return [moment - first for moment in history.arrivals], max(1.0, history.span - first)


def pods(options: Mapping[str, Any]) -> int:
    return options["pods"] or Pod.objects.taking().count() or 1

"""What came out of a simulation: how each caller fared, what the fleet was like meanwhile, and the shares of both."""

from collections.abc import Callable
from dataclasses import dataclass

from pools.decisions.targets import Pool


@dataclass
class Start:
    """One caller: when, which of the two was in stock, and how long it took to be acknowledged; None: not yet, or
    refused, because no pod had a slot free."""

    at: float
    agent: bool
    room: bool
    wait: float | None
    refused: bool = False

    @property
    def warm(self) -> bool:
        return self.agent and self.room


@dataclass(frozen=True)
class Sample:
    """The fleet at one moment."""

    at: float
    agents: int
    agent_target: int
    rooms: int
    room_target: int
    busy: int


@dataclass
class Result:
    starts: list[Start]
    samples: list[Sample]
    most: dict[Pool, int]  # the largest stock of one pod, warming included
    rooms_made: int

    @property
    def served(self) -> list[Start]:
        """Whom the pools met at all: who is refused asks for no room, and says nothing of stock."""
        return [start for start in self.starts if not start.refused]

    @property
    def refused(self) -> float:
        """The share of all callers."""
        return 1 - len(self.served) / len(self.starts) if self.starts else 0.0

    def share(self, which: Callable[[Start], bool]) -> float:
        """Of those who were served."""
        served = self.served
        return sum(map(which, served)) / len(served) if served else float(not self.starts)

    @property
    def hit_rate(self) -> float:
        return self.share(lambda start: start.warm)

    def average(self, of: Callable[[Sample], int]) -> float:
        return sum(map(of, self.samples)) / max(1, len(self.samples))

    def waits(self) -> list[float]:
        return sorted(start.wait for start in self.starts if start.wait is not None)

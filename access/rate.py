"""A rate limit as settings spell it: so many calls in so many seconds."""

import re
from typing import NamedTuple, Self

PERIODS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


class Rate(NamedTuple):
    calls: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate such as `20/min`. Raises ValueError."""
        count, _, period = text.partition("/")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", count) or period not in PERIODS:
            raise ValueError(f"{text!r} is not a rate such as 20/min")
        return cls(int(count), PERIODS[period])

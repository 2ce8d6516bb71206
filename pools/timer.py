"""A named time at which something is to be done again, on the supervisor's clock."""

from math import inf


class Timer:
    """Due at once, and then every `interval` seconds after it was taken; with an infinite one, when it is set off."""

    def __init__(self, interval: float = inf, *, due: float = 0.0) -> None:
        self.interval = interval
        self.due = due

    def is_due(self, now: float) -> bool:
        return now >= self.due

    def take(self, now: float) -> bool:
        """Whether it is due; if so, the next interval begins."""
        if now < self.due:
            return False
        self.restart(now)
        return True

    def restart(self, now: float) -> None:
        self.due = now + self.interval

    def set_off(self) -> None:
        """Due at once."""
        self.due = 0.0

    def put_off(self, until: float) -> None:
        self.due = until

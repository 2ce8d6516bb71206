"""Decides when a webhook is sent: retries, a fair share of threads per reseller, pauses for hosts that hang. Pure."""

from collections import Counter
from dataclasses import dataclass

BASE_S = 10.0
CEILING_S = 3600.0
LEAST_S = 1.0
GONE = 410  # HTTP status by which a receiver says that it wants no further event

PER_HOST = 2  # tries at a time
HANGING_S = 3.0  # a try without an answer that takes so long counts as hanging
TRIES_UNTIL_PAUSED = 2  # hanging ones in a row
PAUSE_S = 30.0  # doubled each time that the host hangs again
LONGEST_PAUSE_S = 900.0
MOST_HOSTS = 10_000  # remembered hosts


def delay(attempts: int, draw: float, retry_after: float | None = None) -> float:
    """Return the seconds until the next try after `attempts` failed ones: exponential, with full jitter.

    `draw`: a random number from 0 to 1; `retry_after`: seconds that the receiver asked for, respected up to the
    ceiling.
    """
    ceiling = min(CEILING_S, BASE_S * 2.0 ** min(attempts - 1, 20))
    return max(LEAST_S, draw * ceiling, min(retry_after or 0.0, CEILING_S))


def is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def share(threads: int, sending: Counter[str], reseller: str) -> int:
    """Return how many threads a reseller may use: half of those that the others leave, so that some stay free for the
    next reseller. `sending`: tries under way, by reseller."""
    others = sending.total() - sending[reseller]
    return (threads - others + 1) // 2


@dataclass
class _Host:
    hung: int = 0  # tries in a row
    paused_until: float = 0.0


class HangingHosts:
    """Remembers hosts that did not answer in time. They are paused; afterwards one try at a time tests them again."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def hung(self, host: str, now: float) -> float:
        """Record a try that hung; return for how many seconds the host is paused from now on."""
        known = self._hosts.pop(host, None) or _Host()
        self._hosts[host] = known  # the last one is the newest
        known.hung += 1
        pause = 0.0
        if known.hung >= TRIES_UNTIL_PAUSED:
            pause = min(LONGEST_PAUSE_S, PAUSE_S * 2.0 ** min(known.hung - TRIES_UNTIL_PAUSED, 20))
            known.paused_until = now + pause
        if len(self._hosts) > MOST_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        return pause

    def answered(self, host: str) -> None:
        self._hosts.pop(host, None)

    def paused(self, now: float) -> list[str]:
        return [host for host, known in self._hosts.items() if known.paused_until > now]

    def at_once(self, host: str) -> int:
        """Return how many tries to this host may run at a time."""
        known = self._hosts.get(host)
        return 1 if known is not None and known.hung >= TRIES_UNTIL_PAUSED else PER_HOST

"""Requests at a steady rate, whether the answers come or not: each at its own moment, from threads that have a
connection each. What comes late is counted from the moment at which it was due, so that a service that stalls does not
look fast because its callers waited.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from trials.client import Api


@dataclass
class Sent:
    """The answers to one kind of request. Seconds are counted from the due moment and from the sending."""

    due_to_answer: list[float] = field(default_factory=list)
    sent_to_answer: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, due: float, sent: float, status: str) -> None:
        now = time.monotonic()
        with self.lock:
            self.due_to_answer.append(now - due)
            self.sent_to_answer.append(now - sent)
            self.statuses[status] = self.statuses.get(status, 0) + 1


class Schedule:
    """The moments of `rate` requests a second for `seconds`. Threads take them in turn."""

    def __init__(self, rate: float, seconds: float, begin: float) -> None:
        self._moments = iter([begin + number / rate for number in range(int(rate * seconds))])
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[float]:
        while True:
            with self._lock:
                moment = next(self._moments, None)
            if moment is None:
                return
            time.sleep(max(0.0, moment - time.monotonic()))
            yield moment


def at_rate(
    threads: int, schedule: Schedule, make_api: Callable[[], Api], act: Callable[[Api, float], None]
) -> list[threading.Thread]:
    """Start threads that call `act(api, due)` for each moment of the schedule. The caller joins them."""

    def work() -> None:
        with make_api() as api:
            for due in schedule:
                act(api, due)

    started = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    return started


def ask(api: Api, sent: Sent, due: float, method: str, path: str, body: Any) -> tuple[int, Any]:
    """Send one request and count it. Returns status 0 if there was no answer."""
    at = time.monotonic()
    try:
        status, answer = api.request(method, path, json.dumps(body).encode())
    except (OSError, http.client.HTTPException) as error:
        api.close()
        sent.add(due, at, type(error).__name__)
        return 0, None
    sent.add(due, at, str(status))
    return status, json.loads(answer)

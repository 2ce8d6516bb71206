"""Faults on demand: which of the next calls fail, how, and how many times."""

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from devtools.sandbox.errors import DailyError, invalid_request, quoted

STATUS_ERRORS = {
    "400": "invalid-request-error",
    "429": "rate-limit-error",
    "500": "server-error",
    "503": "server-error",
}
KINDS = (
    *STATUS_ERRORS,
    "timeout",  # no answer at all; the work is not done
    "disconnect",  # the connection is closed before any answer; the work is not done
    "reset",  # the work is done, then the connection is reset: the caller cannot know
    "wrong_key",  # 401, as if the key had been revoked
)
MAX_RULES = 100


@dataclass
class Fault:
    """`path` is a pattern of shell style ("/rooms/*") or a route's own name ("/rooms/{name}"), without /v1.

    `times` calls fail, or all until the fault is removed. `retry_after` seconds go into that header of a 429
    or 503.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    times: int | None = None
    retry_after: float | None = None
    id: int = field(default=0)
    hits: int = 0

    def matches(self, method: str, path: str, route: str) -> bool:
        return self.method in ("*", method) and (self.path == route or fnmatchcase(path, self.path))

    def error(self) -> DailyError:
        """Return the error answer of this fault, for kinds that answer."""
        if self.kind == "wrong_key":
            return DailyError(401, "authentication-error")
        error = DailyError(int(self.kind), STATUS_ERRORS[self.kind])
        if self.retry_after is not None:
            error.headers["Retry-After"] = f"{self.retry_after:g}"
        return error


class Faults:
    def __init__(self) -> None:
        self._rules: dict[int, Fault] = {}
        self._ids = count(1)

    def add(self, wanted: dict[str, Any]) -> Fault:
        """Add the fault of a control request. Raises DailyError for a wrong one."""
        unknown = set(wanted) - {"kind", "method", "path", "times", "retry_after"}
        if unknown:
            raise invalid_request(f"unknown parameter {quoted(min(unknown))}")
        kind, method, path = str(wanted.get("kind")), wanted.get("method", "*"), wanted.get("path", "*")
        if kind not in KINDS:
            raise invalid_request(f"kind was {quoted(kind)} but should be one of {', '.join(KINDS)}")
        if not isinstance(method, str) or not isinstance(path, str):
            raise invalid_request("method and path should be strings")
        times, retry_after = wanted.get("times"), wanted.get("retry_after")
        if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
            raise invalid_request(f"times was {quoted(times)} but should be a positive integer")
        if retry_after is not None and (not isinstance(retry_after, int | float) or not 0 <= retry_after <= 86_400):
            raise invalid_request(f"retry_after was {quoted(retry_after)} but should be a number of seconds")
        if len(self._rules) >= MAX_RULES:
            raise invalid_request(f"there are {MAX_RULES} faults already")
        path = path if path == "*" else "/" + ("/" + path.strip("/")).removeprefix("/v1/").strip("/")
        fault = Fault(kind, method.upper(), path, times, retry_after, id=next(self._ids))
        self._rules[fault.id] = fault
        return fault

    def take(self, method: str, path: str, route: str) -> Fault | None:
        """Return the oldest fault that applies to this call, and count it. After `times` calls a fault is removed."""
        for fault in self._rules.values():
            if fault.matches(method, path, route):
                fault.hits += 1
                if fault.hits == fault.times:
                    del self._rules[fault.id]
                return fault
        return None

    def remove(self, id: int) -> None:
        if id not in self._rules:
            raise DailyError(404, "not-found", f"no fault {id}")
        del self._rules[id]

    def clear(self) -> None:
        self._rules.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._rules.values()]

"""The errors of the sandbox, with Daily's texts.

DailyError      an answer of the REST API that is not 200
JoinRefused     a participant who may not join
"""

from typing import Any


class DailyError(Exception):
    """An error answer: HTTP `status` and the body `{"error": <stable type>, "info"?: <free text>, ...extra}`."""

    def __init__(self, status: int, error: str, info: str | None = None, **extra: Any) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.body: dict[str, Any] = {"error": error}
        if info is not None:
            self.body["info"] = info
        self.body |= extra
        self.headers: dict[str, str] = {}


def invalid_request(info: str) -> DailyError:
    return DailyError(400, "invalid-request-error", info)


def no_such_room(name: str, **extra: Any) -> DailyError:
    return DailyError(404, "not-found", f"room {name}  not found", **extra)  # two spaces: Daily's own


def rate_limited(retry_after: float | None = None) -> DailyError:
    """Return a 429. `retry_after` seconds become a header: Daily documents none, the sandbox sends it on request."""
    error = DailyError(429, "rate-limit-error")
    if retry_after is not None:
        error.headers["Retry-After"] = str(max(1, round(retry_after)))
    return error


def shown(value: object) -> str:
    """Return a value as an error text repeats it, shortened."""
    return (value if isinstance(value, str) else repr(value))[:200]


def quoted(value: object) -> str:
    return f"'{shown(value)}'"


class JoinRefused(Exception):
    """Why a join was refused: one of Daily's error types for clients, and a sentence for people."""

    STATUS = {"no-room": 404}

    def __init__(self, type: str, message: str) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status where a plain request asks to join."""
        return self.STATUS.get(self.type, 403)

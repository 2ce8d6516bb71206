"""Errors of calls to Daily. The client turns all foreign errors into these.

    DailyError
     +- DailyUnavailable   no answer, a broken answer or 5xx: the outcome of the call is unknown
     |   +- DailyRateLimited   429: the call was not carried out
     |   +- DailyUnreachable   no connection: the call was never sent
     +- DailyKeyRefused    401, 403 or the header error: no call will work before somebody mends the key
     +- DailyRejected      400: the request is wrong
     |   +- RoomExists     a room of that name exists already
     +- RoomNotFound       404

Messages name the route and Daily's `error` and `info`, never a key or a token (routes are named by their
pattern, because a token can be part of a path).
"""


class DailyError(Exception):
    """Base of all. `route`: pattern of the endpoint; `status`: HTTP status, None without an answer."""

    def __init__(self, route: str, status: int | None, problem: str) -> None:
        super().__init__(f"Daily {route}: {problem}" if status is None else f"Daily {route}: {status} {problem}")
        self.route = route
        self.status = status


class DailyUnavailable(DailyError):
    pass


class DailyRateLimited(DailyUnavailable):
    """`retry_after`: seconds that Daily asked us to wait, or None (none is documented)."""

    retry_after: float | None = None


class DailyUnreachable(DailyUnavailable):
    pass


class DailyKeyRefused(DailyError):
    pass


class DailyRejected(DailyError):
    pass


class RoomExists(DailyRejected):
    pass


class RoomNotFound(DailyError):
    pass

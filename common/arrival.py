"""Notes when a request arrived, on the monotonic clock, before anything else is done with it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

_KEY = "common.arrival"


def note_arrival(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that notes the time. It must be the outermost one."""

    def noting(request: HttpRequest) -> HttpResponse:
        request.META[_KEY] = time.monotonic()
        return get_response(request)

    return noting


def arrival_of(meta: Mapping[str, Any]) -> float | None:
    """Return the time of arrival in seconds of the monotonic clock; None if the request did not pass the middleware."""
    return meta.get(_KEY)

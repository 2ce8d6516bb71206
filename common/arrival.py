"""When a request arrived, on the monotonic clock: noted before anything is done with it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

_KEY = "common.arrival"


def note_arrival(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The outermost middleware."""

    def noting(request: HttpRequest) -> HttpResponse:
        request.META[_KEY] = time.monotonic()
        return get_response(request)

    return noting


def arrival_of(meta: Mapping[str, Any]) -> float | None:
    """None for a request that did not come through the middleware."""
    return meta.get(_KEY)

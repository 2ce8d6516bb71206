"""Middleware of the project: measures each request, and lets probes come by a pod's IP address.

The measure is the published metric `http_request_duration_seconds`.
"""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

from common.arrival import arrival_of

SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to its answer, by method, route and status.",
    ["method", "route", "status"],
    buckets=(0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)
# Probes and scrapes come by a pod's address, which no ALLOWED_HOSTS can list. Their answers hold no link that a forged
# Host header could change, so these paths, and no others, accept any host.
PROBE_PATHS = frozenset({"/health", "/health/ready", "/metrics"})
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
GetResponse = Callable[[HttpRequest], HttpResponse]


def measure_requests(get_response: GetResponse) -> GetResponse:
    """Middleware that observes each request's duration. It must stand directly after `note_arrival`."""

    def measuring(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        arrived = arrival_of(request.META)
        if arrived is not None:
            labels = (_method(request), _route(request), str(response.status_code))
            SECONDS.labels(*labels).observe(time.monotonic() - arrived)
        return response

    return measuring


def any_host_for_probes(get_response: GetResponse) -> GetResponse:
    """Middleware that accepts any Host header for PROBE_PATHS."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info in PROBE_PATHS:
            request.get_host = lambda: "localhost"  # type: ignore[method-assign]
        return get_response(request)

    return middleware


def _method(request: HttpRequest) -> str:
    return request.method if request.method in METHODS else "other"


def _route(request: HttpRequest) -> str:
    """Return the route's pattern, so that ids make no labels. All pages of the admin count as one route."""
    match = request.resolver_match
    if match is None:
        return "none"
    return "admin/" if match.route.startswith("admin/") else match.route

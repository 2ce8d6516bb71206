"""Finds the handler of a method and path. A handler is a plain function of a Call: no await, so that each
call takes effect in one piece (but a webhook's address is asked before the webhook is made)."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from devtools.sandbox.errors import DailyError, invalid_request
from devtools.sandbox.world import World

if TYPE_CHECKING:
    from devtools.sandbox.webhook_sender import WebhookSender


@dataclass
class Call:
    """One request as handlers see it. `origin` is the sandbox's own "http://host:port"."""

    world: World
    sender: "WebhookSender"
    origin: str
    params: dict[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    authorization: str = field(default="", repr=False)

    def json(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object. No body counts as an empty object."""
        if not self.body.strip():
            return {}
        try:
            value = json.loads(self.body, parse_constant=_no_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            raise DailyError(400, "json-parsing-error", "the request body is not valid JSON") from None
        if not isinstance(value, dict):
            raise invalid_request("the request body should be an object")
        return value

    def number_in_query(self, name: str, default: int) -> int:
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise invalid_request(f"{name} should be a positive number")
        return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # Python's parser takes NaN and Infinity


Handler = Callable[[Call], Any | Awaitable[Any]]
"""Returns what becomes the JSON body of a 200, or the bytes of a file; raises DailyError for anything else."""


@dataclass(frozen=True)
class Route:
    """`pattern` segments in braces match anything. `group` names the rate limit."""

    method: str
    pattern: str
    handler: Handler
    group: str = "default"

    @property
    def name(self) -> str:
        return f"{self.method} {self.pattern}"


def normalised(raw_path: str) -> list[str]:
    """Return the decoded path segments. `/v1/rooms/`, `//rooms` and `/rooms` are the same."""
    segments = [unquote(segment) for segment in raw_path.split("/") if segment]
    return segments[1:] if segments[:1] == ["v1"] else segments


def matched(pattern: str, segments: list[str]) -> dict[str, str] | None:
    """Return the parameters with which these segments match the pattern; None if they do not match."""
    wanted = [segment for segment in pattern.split("/") if segment]
    if len(wanted) != len(segments):
        return None
    pairs = list(zip(wanted, segments, strict=True))
    if any(have != want and not want.startswith("{") for want, have in pairs):
        return None
    return {want[1:-1]: have for want, have in pairs if want.startswith("{")}


def find(routes: tuple[Route, ...], method: str, segments: list[str]) -> tuple[Route, dict[str, str]] | None:
    """Return the first route for this request, and its parameters."""
    for route in routes:
        if route.method == method and (params := matched(route.pattern, segments)) is not None:
            return route, params
    return None

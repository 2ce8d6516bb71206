"""Sends one POST to a URL that a tenant has chosen: bounded in time and size, and only to allowed addresses.

The name is resolved once, every address is checked, and the connection goes to a checked address, with the name only
for TLS and the Host header. So it does not matter if the name resolves to another address a moment later. Redirects are
not followed. It uses plain sockets, because HTTP clients would resolve the name again.
"""

import contextlib
import http.client
import os
import random
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, quote

import certifi

from leads.webhooks.addresses import Destinations, Forbidden

CONNECT_S = 4.0
WHOLE_S = 15.0  # for request and response together, however slowly the response arrives
MAX_ANSWER_BYTES = 16 * 1024
MAX_ADDRESSES = 3
PATH_CHARACTERS = "/%:@!$&'()*+,;=~?-._"


@dataclass(frozen=True)
class Posted:
    """The result of a POST; it never contains a header, a body or the URL.

    `status` is None without an answer; `problem` is empty if the answer was 2xx; `forbidden`: it was not tried, because
    the address is not allowed.
    """

    status: int | None
    problem: str = ""
    retry_after: float | None = None
    forbidden: bool = False


def post(
    url: str, body: bytes, headers: Mapping[str, str], destinations: Destinations, whole_s: float = WHOLE_S
) -> Posted:
    """Send a POST. Never raises for what the receiver does.

    Takes at most about CONNECT_S for each address, and `whole_s` seconds after that.
    """
    try:
        parts = destinations.split(url)
        addresses = destinations.resolve(parts)
    except Forbidden as error:
        return Posted(None, f"the address {error}", forbidden=True)
    except OSError:
        return Posted(None, "the host name does not resolve")
    for address in random.sample(addresses, min(len(addresses), MAX_ADDRESSES)):
        try:
            connected = socket.create_connection((str(address), _port(parts)), CONNECT_S)
        except OSError:
            continue  # nothing has been sent: try another address
        return _send(connected, parts, body, headers, whole_s)
    return Posted(None, "cannot connect")


def _send(
    connected: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str], whole_s: float
) -> Posted:
    host = _ascii_host(parts)
    expired = threading.Event()
    try:
        with connected, _deadline(connected, whole_s, expired):
            connected.settimeout(whole_s)
            sock = _trust().wrap_socket(connected, server_hostname=host) if parts.scheme == "https" else connected
            with sock:
                answer = _exchange(sock, parts, body, {**headers, "Host": _host_header(parts, host)})
    except (http.client.HTTPException, OSError, ValueError) as error:
        return Posted(None, "no answer in time" if expired.is_set() else _explain(error))
    if expired.is_set():  # what has arrived is incomplete
        return Posted(None, "no answer in time")
    if 200 <= answer.status < 300:
        return Posted(answer.status)
    return Posted(answer.status, f"answered {answer.status}", _seconds(answer.headers.get("Retry-After")))


def _exchange(
    sock: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(parts.hostname or "")
    connection.sock = sock
    path = quote(parts.path or "/", safe=PATH_CHARACTERS)
    query = f"?{quote(parts.query, safe=PATH_CHARACTERS)}" if parts.query else ""
    fixed = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "BreezeBuddy-Webhooks/1"}
    connection.request("POST", path + query, body, {**headers, **fixed})
    answer = connection.getresponse()
    answer.read(MAX_ANSWER_BYTES)  # the content is not used, but a response that is cut off must fail
    return answer


@contextlib.contextmanager
def _deadline(connected: socket.socket, seconds: float, expired: threading.Event) -> Iterator[None]:
    """Shut the connection down after so many seconds, whatever the receiver is doing, and set `expired`.

    It uses a descriptor of its own, because TLS takes over that of the socket. Raises OSError if none is free.
    """
    handle = socket.socket(fileno=os.dup(connected.fileno()))

    def shut() -> None:
        expired.set()
        with contextlib.suppress(OSError):  # closed by the other end
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        handle.close()


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _ascii_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return host if host.isascii() else host.encode("idna").decode()


def _host_header(parts: SplitResult, host: str) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if parts.port is None else f"{bracketed}:{parts.port}"


def _explain(error: Exception) -> str:
    """Describe an error in our own words: the library's text may quote addresses."""
    match error:
        case ssl.SSLError():
            return "its certificate or TLS is not right"
        case TimeoutError():
            return "no answer in time"
    return f"the connection failed ({type(error).__name__})"


def _seconds(header: str | None) -> float | None:
    """Parse Retry-After if it is in seconds; a date is ignored."""
    return float(header) if header and header.isascii() and header.isdigit() and len(header) < 8 else None

"""One POST to an address that somebody else has chosen: bounded in time and size, never to where it must not go.

The name is resolved once, every address is checked, and the connection goes to a checked address, with the name only
for TLS and the Host header: what the name resolves to a moment later does not matter. Redirects are not followed.
Plain sockets, because here the connection itself is the point.
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
WHOLE_S = 15.0  # silent or dripping
MAX_ANSWER_BYTES = 16 * 1024
MAX_ADDRESSES = 3
PATH_CHARACTERS = "/%:@!$&'()*+,;=~?-._"


@dataclass(frozen=True)
class Posted:
    """What came of it. `status` is None without an answer; `problem` is empty if the answer was 2xx. `forbidden`: we
    did not even try. Never holds a header, a body or the address."""

    status: int | None
    problem: str = ""
    retry_after: float | None = None
    forbidden: bool = False


def post(
    url: str, body: bytes, headers: Mapping[str, str], destinations: Destinations, whole_s: float = WHOLE_S
) -> Posted:
    """Never raises for what the other end does. At most about CONNECT_S for each address and `whole_s` after that."""
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
            continue  # nothing has been sent: another address may do
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
    if expired.is_set():  # what has come is cut off
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
    answer.read(MAX_ANSWER_BYTES)  # what it says is of no interest, but an answer that is cut off is none
    return answer


@contextlib.contextmanager
def _deadline(connected: socket.socket, seconds: float, expired: threading.Event) -> Iterator[None]:
    """Shut the connection down after a while, whatever its other end is still doing; `expired` says that it was so.

    By a descriptor of its own: TLS takes over the one of the socket. Raises OSError if there are no more of them.
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
    """In our words: theirs may quote addresses."""
    match error:
        case ssl.SSLError():
            return "its certificate or TLS is not right"
        case TimeoutError():
            return "no answer in time"
    return f"the connection failed ({type(error).__name__})"


def _seconds(header: str | None) -> float | None:
    """The form in seconds; a date is not worth reading."""
    return float(header) if header and header.isascii() and header.isdigit() and len(header) < 8 else None

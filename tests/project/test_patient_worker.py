"""gunicorn's worker: clients that are slow, silent or do not read cost no thread, and none of them for ever."""

import hashlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from breezebuddy.patient_connection import LARGEST_HELD_BODY, Framing
from tests.support.impatient_gunicorn import LARGE
from tests.support.programs import PROJECT, running_gunicorn
from tests.support.waiting import wait_until

THREADS = 2
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 60.0


class Server:
    """One worker. `open()`: connections that are closed with the test."""

    def __init__(self, port: int, stack: ExitStack, log: Path | None = None) -> None:
        self.port = port
        self._log = log
        self._stack = stack

    def open(self, *parts: bytes, room: int = 0) -> socket.socket:
        """`room`: for bytes that have not been read; 0: as the kernel has it."""
        client = self._stack.enter_context(socket.socket())
        client.settimeout(PATIENCE)
        if room:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.connect(("127.0.0.1", self.port))
        for part in parts:
            client.sendall(part)
        return client

    def closed(self) -> int:
        """How many slow connections it says that it has closed."""
        assert self._log is not None
        return sum(map(int, re.findall(r"event=slow_connections closed=(\d+)", self._log.read_text())))

    def answers(self) -> bool:
        """With no more threads than it is to have: its own, and those for requests."""
        threads, _ = ask(self.open(GET))
        assert threads <= 1 + THREADS
        return True


def ask(client: socket.socket, request: bytes = b"") -> tuple[int, str]:
    """The number of threads and the hash of the body, as the application says."""
    client.sendall(request)
    threads, digest = answer_of(client).split()
    return int(threads), digest.decode()


def answer_of(client: socket.socket) -> bytes:
    """The body of one answer of 200."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += some(client)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
    while len(body) < length:
        body += some(client)
    assert len(body) == length
    return body


def some(client: socket.socket) -> bytes:
    data = client.recv(65536)
    assert data, "closed"
    return data


def rest_of(client: socket.socket) -> bytes:
    """Until it is closed."""
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def post(body: bytes, path: str = "/", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Its port and its log."""
    directory = tmp_path_factory.mktemp("gunicorn")
    command = [sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:0", "--workers=1", f"--threads={THREADS}"]
    command += [f"--pythonpath={PROJECT}", "--worker-connections=60", "--keep-alive=60", "--graceful-timeout=1"]
    command += [
        "--worker-class=tests.support.impatient_gunicorn.ImpatientWorker",
        "tests.support.impatient_gunicorn:application",
    ]
    log = directory / "log"
    with log.open("wb") as output:
        environment = {"PYTHONPATH": str(PROJECT)}
        program = subprocess.Popen(command, cwd=directory, stderr=output, stdout=output, env=environment)
    try:
        listening = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
        found = wait_until(lambda: listening.search(log.read_text()), PATIENCE)
        assert found
        yield int(found[1]), log
    finally:
        program.terminate()
        program.wait(PATIENCE)
        sys.stderr.write(log.read_text())
    assert "Traceback" not in log.read_text()


@pytest.fixture
def server(gunicorn: tuple[int, Path]) -> Iterator[Server]:
    port, log = gunicorn
    with ExitStack() as stack:
        yield Server(port, stack, log)


WAITING = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "half a body": post(b"x" * 1000)[:-1],
    "half a large body": post(b"x" * (LARGEST_HELD_BODY + 1), "/unread")[:-1000],
    "an endless body": b"POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
}


@pytest.mark.parametrize("what", WAITING)
def test_clients_that_say_too_little_cost_no_thread_and_are_closed(server, what):
    clients = [server.open(WAITING[what]) for _ in range(20)]
    assert all(server.answers() for _ in range(20))
    for client in clients:
        answer = rest_of(client)
        assert answer == b"" if what == "silent" else answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 200 "))
    assert server.answers()


def test_large_bodies_that_drip_hold_a_part_of_the_threads(server):
    body = b"x" * (LARGEST_HELD_BODY + 1)
    clients = [server.open(post(body)[:1000]) for _ in range(5)]
    assert all(server.answers() for _ in range(20))
    for client in clients:
        assert not rest_of(client).startswith(b"HTTP/1.1 200 ")
    assert ask(server.open(post(body)))[1] == digest_of(body)


def test_a_client_that_does_not_read_costs_no_thread(server):
    request = GET.replace(b"/ ", b"/large ", 1)
    closed = server.closed()
    clients = [server.open(request), *(server.open(request, room=4096) for _ in range(3))]
    assert all(server.answers() for _ in range(20))
    assert answer_of(clients[0]) == b"x" * LARGE
    assert ask(clients[0], GET), "and its connection is used again"
    wait_until(lambda: server.closed() == closed + 3, PATIENCE)
    assert all(len(rest_of(client)) < LARGE for client in clients[1:])


def test_a_client_that_does_not_close_holds_up_nobody(server):
    request = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    clients = [server.open(request) for _ in range(20)]
    assert all(server.answers() for _ in range(20))
    assert all(rest_of(client).startswith(b"HTTP/1.1 200 ") for client in clients)


def test_where_there_are_too_many_connections_the_oldest_is_closed(server):
    silent = [server.open() for _ in range(100)]
    assert all(server.answers() for _ in range(20))
    assert rest_of(silent[0]) == b""


def test_more_than_it_may_hold_is_not_held(server):
    """Thirty large bodies of which a byte is missing: the newest are served."""
    body = b"x" * LARGEST_HELD_BODY
    clients = [server.open(post(body)[:-1]) for _ in range(30)]
    assert ask(clients[-1], b"x")[1] == digest_of(body)
    assert server.answers()


def test_requests_come_in_any_pieces(server):
    whole = post(b"one") + b"\r\n" + post(b"two") + GET
    for size in (1, 7, len(whole)):
        client = server.open(*(whole[at : at + size] for at in range(0, len(whole), size)))
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 3 or not received.endswith(digest_of(b"").encode()):
            received += some(client)
        assert re.findall(rb"\d ([0-9a-f]{64})", received) == [
            digest_of(part).encode() for part in (b"one", b"two", b"")
        ]


def test_bodies_of_other_forms_are_read(server):
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    client = server.open()
    assert ask(client, chunked)[1] == digest_of(b"abc")
    asked = post(b"abc", "/", "Expect: 100-continue")
    client = server.open(asked[:-3])
    assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert ask(client, b"abc")[1] == digest_of(b"abc")


def test_a_head_without_an_end_is_refused(server):
    client = server.open(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
    assert rest_of(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("received", "framing"),
    [
        (b"", None),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", None),
        (GET, Framing(len(GET), 0)),
        (post(b"abc"), Framing(len(post(b"abc")) - 3, 3)),
        (post(b"abc").lower(), Framing(len(post(b"abc")) - 3, 3)),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding:chunked\r\nContent-Length: 3\r\n\r\n", Framing(65, None)),
        (b"GET / HTTP/1.1\r\n\r\nContent-Length: 9\r\n", Framing(18, 0)),
    ],
)
def test_it_is_known_where_a_request_ends(received, framing):
    assert Framing.of(received) == framing


@pytest.mark.django_db(transaction=True)
def test_the_service_answers_among_slow_clients(sandbox, tmp_path):
    """As it is started in production, without a token."""
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    log_in = post(b"x" * 1000, "/login", "Content-Type: application/json")[:-1]
    with running_gunicorn(sandbox, tmp_path, WEB_THREADS="2") as (_, url), ExitStack() as stack:
        server = Server(int(url.rpartition(":")[2]), stack)
        for part in (b"", head, log_in):
            clients = [server.open(part) for _ in range(40)]
        for _ in range(20):
            assert b"ok" in answer_of(server.open(head + b"\r\n"))
        clients[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            clients[0].recv(1)

"""The probes' port of a pod: one thread, whatever its clients do, and both families of addresses."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from pools.supervisor.probe_server import Answer, ProbeServer, listener


@pytest.fixture
def server() -> Iterator[ProbeServer]:
    running = ProbeServer(listener("", 0), lambda *asked: Answer.json(200, {"asked": asked}), patience=2.0)
    yield running
    running.close()


def ask(server: ProbeServer, host: str = "127.0.0.1") -> list[str | None]:
    answer = requests.get(f"http://{host}:{server.port}/health?x", headers={"Authorization": "Bearer x"}, timeout=30)
    return answer.json()["asked"]


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nHost:", b"GET /health HTTP/1.1\r\n\r\n" + b"x" * 1000])
def test_clients_that_say_too_little_or_do_not_close_cost_no_thread(server, said):
    before = threading.active_count()
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)) for _ in range(300)]
        for client in clients[-30:]:
            client.sendall(said)
        assert [ask(server) for _ in range(10)] == [["/health?x", "Bearer x"]] * 10
        assert threading.active_count() == before
        for client in clients:
            while read(client):
                pass  # each is closed, the last of them when their time is over
    assert ask(server)


def read(client: socket.socket) -> bytes:
    try:
        return client.recv(4096)
    except ConnectionResetError:
        return b""


def test_it_is_reached_by_addresses_of_both_families(server):
    assert ask(server)
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    assert ask(server, "[::1]")


@pytest.mark.parametrize("request_line", [b"POST /health HTTP/1.1", b"nonsense", b"GET"])
def test_what_is_no_get_is_refused(server, request_line):
    with socket.create_connection(("127.0.0.1", server.port), 30) as client:
        client.sendall(request_line + b"\r\n\r\n")
        assert read(client).startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 200 "))


def test_a_head_without_an_end_is_not_read(server):
    with socket.create_connection(("127.0.0.1", server.port), 30) as client, pytest.raises(ConnectionError):
        while True:
            client.sendall(b"x" * 65536)

"""Where webhooks may go, and one POST there: to addresses as they were checked, and all of it bounded."""

import ipaddress
import os
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from leads.webhooks import post as post_module
from leads.webhooks.addresses import Destinations, Forbidden, is_public
from leads.webhooks.post import WHOLE_S, Posted, post
from tests.support.http_receiver import Answer, Receiver, running_receiver
from tests.support.programs import PROJECT
from tests.support.tls_certificate import certificate_of

PUBLIC = Destinations()
HERE = Destinations((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the resolver says: the one thing that is outside of this machine."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **options)
        return [entry for address in known[host] for entry in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


# --- what may be an address --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com:8443/hook?key=1",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://bücher.example/",
        "HTTPS://CRM.example.com:8443",
        "https://crm.example.com./hook#x",
    ],
)
def test_public_https_addresses_are_taken(url):
    assert PUBLIC.problem_with(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https://:443/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://user:secret@example.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://example.com/" + "x" * 2000,
        "https://localhost/",
        "https://LOCALHOST./",
        "https://postgres/",
        "https://db.internal/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://192.0.2.1/",
        "https://198.18.0.1/",
        "https://[ff02::1]/",
        "https://crm.example.com\\@10.0.0.1/",
        "https://crm.example.com/\u202e",
        "https://nas.lan/",
        "https://printer.local./",
        "javascript:alert(1)",
        "//crm.example.com",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b::169.254.169.254]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1%25eth0]/",
        "https://[fc00::1]/",
        "https://[fec0::1]/",
        "https://[::127.0.0.1]/",
    ],
)
def test_everything_else_is_refused_before_it_is_resolved(url):
    assert PUBLIC.problem_with(url).startswith("must ")


def test_networks_may_be_allowed_over_plain_http_too():
    assert HERE.split("http://127.0.0.1:8000/hook").port == 8000
    assert HERE.split("http://localhost:8000/hook").hostname == "localhost"
    with pytest.raises(Forbidden):
        HERE.split("http://10.0.0.1/")
    with pytest.raises(Forbidden, match="https"):
        HERE.split("http://93.184.216.34/")


def test_what_python_calls_global_is_not_enough():
    assert is_public(ipaddress.ip_address("8.8.8.8")) and is_public(ipaddress.ip_address("2606:4700::1111"))
    for address in ("192.88.99.1", "192.0.0.9", "192.0.0.192", "3fff::1", "5f00::1", "2001:20::1", "100:0:0:1::1"):
        assert not is_public(ipaddress.ip_address(address)), address


# --- resolving and connecting ------------------------------------------------------------------------------


def test_a_body_arrives_as_it_is_with_its_headers(receiver):
    posted = post(f"{receiver.url}/hook/ü?a=1&b=%20", b'{"a": 1}', {"webhook-id": "1"}, HERE)
    assert posted == Posted(200)
    (one,) = receiver.received
    assert (one.path, one.body, one.headers["webhook-id"]) == ("/hook/%C3%BC?a=1&b=%20", b'{"a": 1}', "1")
    assert one.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:169.254.169.254"]])
def test_a_name_with_one_address_that_must_not_be_reached_is_not_connected_to(names, receiver, addresses):
    names["evil.example"] = addresses
    posted = post(f"https://evil.example:{receiver.port}/", b"{}", {}, PUBLIC)
    assert posted.forbidden and posted.problem == "the address must not be a private or loopback address"
    assert receiver.received == []


def test_the_name_is_resolved_once_and_the_checked_address_is_the_one_connected_to(names, receiver, monkeypatch):
    """DNS rebinding: the second answer would be another address."""
    asked = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host == "rebind.example":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, type=socket.SOCK_STREAM)
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert post(f"http://rebind.example:{receiver.port}/", b"{}", {}, HERE) == Posted(200)
    assert asked == ["rebind.example"]
    assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"


def test_a_redirect_is_not_followed(receiver):
    receiver.answer = lambda received: Answer(307, {"Location": f"{receiver.url}/elsewhere"})
    posted = post(f"{receiver.url}/hook", b"{}", {}, HERE)
    assert (posted.status, posted.problem) == (307, "answered 307")
    assert [one.path for one in receiver.received] == ["/hook"]


def test_what_the_receiver_asks_for_is_heard(receiver):
    receiver.answer = lambda received: Answer(429, {"Retry-After": "7"})
    assert post(receiver.url, b"{}", {}, HERE) == Posted(429, "answered 429", 7.0)
    receiver.answer = lambda received: Answer(503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
    assert post(receiver.url, b"{}", {}, HERE).retry_after is None


def test_without_a_descriptor_more_it_is_a_try_that_failed_and_no_exception():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert post(url, b"{}", {}, HERE, whole_s=0.2).problem == "no answer in time"  # what is loaded late is loaded
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.close(next_descriptor := os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_descriptor + 1, before[1]))  # for the connection alone
        try:
            posted = post(url, b"{}", {}, HERE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert posted == Posted(None, "the connection failed (OSError)")


def test_no_name_and_nobody_listening_are_problems_without_an_address_in_them(names):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert post(f"http://127.0.0.1:{port}/", b"{}", {}, HERE) == Posted(None, "cannot connect")
    names["nowhere.example"] = []
    assert post("https://nowhere.example/", b"{}", {}, PUBLIC).problem == "cannot connect"
    assert post("https://no-such-name.invalid/", b"{}", {}, PUBLIC).problem == "the host name does not resolve"


@pytest.mark.parametrize(
    "drip",
    [b"H", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["status", "headers", "body"],
)
def test_one_that_drips_for_ever_is_left_after_a_while(receiver, drip):
    stop = threading.Event()

    def dripping(connection: socket.socket) -> None:
        try:
            connection.sendall(drip)
            while not stop.wait(0.02):
                connection.sendall(b"a")
        except OSError:
            return

    receiver.raw = dripping
    try:
        assert post(receiver.url, b"{}", {}, HERE, whole_s=0.4) == Posted(None, "no answer in time")
    finally:
        stop.set()


def test_a_receiver_may_be_silent_for_as_long_as_the_docs_say(receiver):
    receiver.raw = lambda connection: connection.recv(1)
    assert post(receiver.url, b"{}", {}, HERE, whole_s=0.2) == Posted(None, "no answer in time")
    assert f"2xx within {WHOLE_S:g} seconds" in (PROJECT / "docs" / "webhooks.md").read_text()


def test_an_endless_answer_is_read_only_so_far(receiver):
    def endless(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                connection.sendall(bytes(65536))
        except OSError:
            return

    receiver.raw = endless
    assert post(receiver.url, b"{}", {}, HERE) == Posted(200)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"])
def test_an_answer_that_is_no_http_is_a_problem_and_no_exception(receiver, answer):
    receiver.raw = lambda connection: connection.sendall(answer)
    posted = post(receiver.url, b"{}", {}, HERE)
    assert posted.status is None and posted.problem.startswith("the connection failed")


# --- TLS ---------------------------------------------------------------------------------------------------


def test_the_certificate_must_be_the_names_not_the_addresses(names, tls_receiver, monkeypatch):
    port, authority = tls_receiver
    names["good.example"] = names["other.example"] = ["127.0.0.1"]
    trust = ssl.create_default_context(cafile=authority)
    monkeypatch.setattr(post_module, "_trust", lambda: trust)
    assert post(f"https://good.example:{port}/", b"{}", {}, HERE) == Posted(200)
    for url in (f"https://other.example:{port}/", f"https://127.0.0.1:{port}/"):
        assert post(url, b"{}", {}, HERE) == Posted(None, "its certificate or TLS is not right")


def test_a_certificate_that_nobody_vouches_for_is_refused(names, tls_receiver):
    names["good.example"] = ["127.0.0.1"]
    posted = post(f"https://good.example:{tls_receiver[0]}/", b"{}", {}, HERE)
    assert posted == Posted(None, "its certificate or TLS is not right")


@pytest.fixture
def tls_receiver(tmp_path: Any) -> Iterator[tuple[int, str]]:
    """A server whose certificate says good.example; its port and the file with the authority."""
    certificate = certificate_of("good.example", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(accepted, server_side=True) as sock:
                    while not sock.recv(65536).endswith(b"{}"):
                        pass
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], certificate
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)

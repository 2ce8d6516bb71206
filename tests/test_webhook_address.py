"""Where reporting webhooks may go: never into a private network, however it is spelled and whatever a name becomes."""

import socket

import pytest

from leads.webhook_address import ForbiddenAddress, problem_with, public_addresses

PRIVATE_HOSTS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104
    "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "127.0.0.1.",
    "[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
    "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[ff02::1]",
    "localhost", "LOCALHOST", "localhost.", "app.localhost", "crm", "db.internal", "printer.local", "nas.lan",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_a_private_host_is_refused_in_every_spelling(host):
    assert "private" in problem_with(f"https://{host}/hook")


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.com/",
        "ftp://crm.example.com/",
        "javascript:alert(1)",
        "crm.example.com",
        "//crm.example.com",
        "https://",
        "https:///path",
        "https://[::1",
        "https://crm.example.com:port/",
        "https://crm.example.com:0/",
        "https://crm.example.com:70000/",
        "https://user@crm.example.com/",
        "https://user:secret@crm.example.com/",
        "https://crm.example.com/\nHost: x",
        "https://crm.example.com /",
        "https://crm.example.com\\@10.0.0.1/",
        "https://crm.example.com/\u202e",
        "",
    ],
)
def test_what_is_no_plain_https_address_is_refused(url):
    assert problem_with(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com/hook?key=1#x",
        "HTTPS://CRM.example.com:8443",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://zoë.example/",
        "https://crm.example.com./",
    ],
)
def test_a_public_one_is_not(url):
    assert problem_with(url) == ""


def test_a_setting_allows_what_is_near(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    for url in ("http://127.0.0.1:8999/hook", "http://crm/", "https://10.0.0.1/"):
        assert problem_with(url) == ""
    assert public_addresses("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize(
    "resolved", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["2606:4700::1111", "fe80::1%eth0"]]
)
def test_a_name_that_points_inside_is_refused_when_it_is_resolved(monkeypatch, resolved):
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in resolved]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **values: infos)
    with pytest.raises(ForbiddenAddress, match=r"crm\.example\.com is in a private network"):
        public_addresses("crm.example.com", 443)


def test_a_public_name_gives_its_addresses(monkeypatch):
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))] * 2
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **values: infos)
    assert public_addresses("crm.example.com", 443) == ["8.8.8.8"]

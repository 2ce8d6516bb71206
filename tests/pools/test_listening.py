"""Servers are reached over IPv4 and IPv6, on hosts that have only one of them too."""

import json
import subprocess
import sys

import pytest

from breezebuddy import listening
from tests.support.programs import PROJECT

# Listens as the probes do, and says where it can be reached and where gunicorn would listen.
PROGRAM = """
import json, socket
from breezebuddy import listening
from pools.supervisor.probe_server import listener
listener = listener("", 0)
reached = []
for host in ("127.0.0.1", "::1"):
    try:
        socket.create_connection((host, listener.getsockname()[1]), 5).close()
        reached.append(host)
    except OSError:
        pass
print(json.dumps([reached, listening.binds("loopback", 80), listening.binds("all", 80)]))
"""
HOSTS = {
    "both": ("true", ["127.0.0.1", "::1"], ["127.0.0.1:80", "[::1]:80"]),
    "IPv6 only": ("ip addr del 127.0.0.1/8 dev lo", ["::1"], ["[::1]:80"]),
    "IPv4 only": ("sysctl -qw net.ipv6.conf.lo.disable_ipv6=1", ["127.0.0.1"], ["127.0.0.1:80"]),
}


def in_a_network_of_its_own(prepared: str, *command: str) -> "subprocess.CompletedProcess[str]":
    script = f'ip link set lo up && {prepared} && exec "$@"'
    arguments = ["unshare", "--map-root-user", "--net", "sh", "-c", script, "sh", *command]
    return subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("prepared", "reached", "of_this_host"), HOSTS.values(), ids=HOSTS)
def test_a_server_is_reached_by_every_address_that_its_host_has(prepared, reached, of_this_host):
    if (able := in_a_network_of_its_own(prepared, "true")).returncode:
        pytest.skip(f"no network namespaces here: {able.stderr}")
    told = in_a_network_of_its_own(prepared, sys.executable, "-c", PROGRAM)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == [reached, of_this_host, ["[::]:80"]]


def test_a_word_that_says_nothing_of_where_to_listen_is_refused():
    with pytest.raises(ValueError, match="LISTEN_ON=everywhere: must be loopback or all"):
        listening.binds("everywhere", 80)

"""Network namespaces as hosts, bridges as networks, veth pairs as cables.

Everything lies in namespaces of ours: nothing of this machine's own network is touched.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trials.hosts import delay

ROOT = Path(__file__).resolve().parent.parent.parent
PREFIX = "bbhost-"
SWITCH = f"{PREFIX}switch"
NETWORKS = {"inside": 1, "outside": 2}  # the third number of its addresses
HOSTS = {
    "callers": ("outside",),
    "api": ("inside", "outside"),
    "pods1": ("inside", "outside"),
    "pods2": ("inside", "outside"),
    "pods3": ("inside", "outside"),
    "database": ("inside",),
    "daily": ("outside",),
}
POD_HOSTS = ("pods1", "pods2", "pods3")
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
GONE_S = 10.0


class NotPossibleHere(Exception):
    """Hosts cannot be made on this machine. The message says what is missing and what helps."""


def address(host: str, network: str) -> str:
    return f"10.119.{NETWORKS[network]}.{2 + list(HOSTS).index(host)}"


def namespace(host: str) -> str:
    return f"{PREFIX}{host}"


def check(user: int) -> None:
    """Check the machine. `user`: the effective user id. Raises NotPossibleHere."""
    if user != 0:
        raise NotPossibleHere("network namespaces need root: run it as root (sudo make hosts)")
    if not shutil.which("ip"):
        raise NotPossibleHere("the program `ip` is missing: install the package iproute2 (apt-get install iproute2)")
    probe = f"{PREFIX}probe"
    ip("netns", "delete", probe, check=False)
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "left", "type", "veth", "peer", "name", "right")
        ip("-n", probe, "link", "add", "between", "type", "bridge")
    except NotPossibleHere as error:
        raise NotPossibleHere(
            f"this machine does not let us make network namespaces, veth pairs or bridges ({error}): in a container "
            "they need CAP_SYS_ADMIN and CAP_NET_ADMIN, and a kernel with CONFIG_NET_NS, CONFIG_VETH and CONFIG_BRIDGE"
        ) from None
    finally:
        ip("netns", "delete", probe, check=False)


@contextmanager
def network() -> Iterator[None]:
    """Create all hosts, connected, until the block ends."""
    sweep()
    try:
        _build()
        yield
    finally:
        sweep()


def _build() -> None:
    ip("netns", "add", SWITCH)
    for name in NETWORKS:
        ip("-n", SWITCH, "link", "add", name, "type", "bridge")
        ip("-n", SWITCH, "link", "set", name, "up")
    for host, networks in HOSTS.items():
        ip("netns", "add", namespace(host))
        ip("-n", namespace(host), "link", "set", "lo", "up")
        for name in networks:
            end, port = f"{name}0", _port(host, name)
            peer = ("peer", "name", port, "netns", SWITCH)
            ip("-n", namespace(host), "link", "add", end, "type", "veth", *peer)
            ip("-n", namespace(host), "addr", "add", f"{address(host, name)}/24", "dev", end)
            ip("-n", namespace(host), "link", "set", end, "up")
            ip("-n", SWITCH, "link", "set", port, "master", name, "up")
            with on_host(host):
                delay.plain(end)


def _port(host: str, network: str) -> str:
    """Return the name of the switch's end of a cable, at most 15 characters."""
    return f"{host}-{network[:3]}"


@contextmanager
def cut(host: str, *networks: str) -> Iterator[None]:
    """Pull the cables until the block ends: packets vanish without an error."""
    for name in networks:
        ip("-n", SWITCH, "link", "set", _port(host, name), "nomaster")
    try:
        yield
    finally:
        for name in networks:
            ip("-n", SWITCH, "link", "set", _port(host, name), "master", name)


@contextmanager
def slow(host: str, network: str, seconds: float) -> Iterator[None]:
    """Delay every frame on a cable, in both directions, until the block ends."""
    port, spare = _port(host, network), "spare-left"
    ip("-n", SWITCH, "link", "add", spare, "type", "veth", "peer", "name", "spare-right")
    ip("-n", SWITCH, "link", "set", "spare-right", "master", network, "up")
    ip("-n", SWITCH, "link", "set", spare, "up")
    ip("-n", SWITCH, "link", "set", port, "nomaster")
    with on_host("switch"):
        delay.plain("spare-right")
        relay = subprocess.Popen([sys.executable, "-m", "trials.hosts.delay", port, spare, str(seconds)], cwd=ROOT)
    try:
        yield
    finally:
        relay.kill()
        relay.wait()
        ip("-n", SWITCH, "link", "delete", spare)
        ip("-n", SWITCH, "link", "set", port, "master", network)


def sweep() -> int:
    """Remove our hosts and end their processes, before and after a run. Returns how many hosts there were."""
    found = [name for name in ip("netns", "list").split() if name.startswith(PREFIX)]
    for name in found:
        _end_processes(name)
        ip("netns", "delete", name, check=False)
    return len(found)


def pids(host: str) -> set[int]:
    """Return the processes of a host, by this machine's numbers."""
    return {int(pid) for pid in ip("netns", "pids", namespace(host)).split()}


def _end_processes(name: str) -> None:
    until = time.monotonic() + GONE_S
    while time.monotonic() < until:
        running = {int(pid) for pid in ip("netns", "pids", name, check=False).split()} - {os.getpid()}
        if not running:
            return
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextmanager
def on_host(host: str) -> Iterator[None]:
    """Put this thread, and what it starts, on a host until the block ends."""
    with open("/proc/thread-self/ns/net") as here, open(Path("/run/netns", namespace(host))) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def _enter(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def ip(*arguments: str, check: bool = True) -> str:
    """Raises NotPossibleHere."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)  # noqa: S607 (wherever iproute2 lies)
    if done.returncode and check:
        raise NotPossibleHere(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout

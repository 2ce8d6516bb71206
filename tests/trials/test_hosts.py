"""The plan of the hosts, and what is said where they cannot be had; the hosts themselves are run by `make hosts`."""

import subprocess
import sys
from pathlib import Path

import pytest

from trials.hosts import network
from trials.hosts.network import HOSTS, NETWORKS, NotPossibleHere, address, check

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST_INTERFACE = 15


def test_every_host_has_an_address_of_its_own_in_each_of_its_networks():
    addresses = [address(host, name) for host, names in HOSTS.items() for name in names]

    assert len(set(addresses)) == len(addresses)
    assert all(len(network._port(host, name)) <= LONGEST_INTERFACE for host in HOSTS for name in NETWORKS)


def test_callers_reach_neither_the_database_nor_pods_from_inside():
    assert HOSTS["callers"] == HOSTS["daily"] == ("outside",)
    assert HOSTS["database"] == ("inside",)


def test_without_root_it_says_so():
    with pytest.raises(NotPossibleHere, match="need root"):
        check(user=1000)


def test_without_iproute2_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotPossibleHere, match="apt-get install iproute2"):
        check(user=0)


def test_wrong_arguments_are_refused_before_anything_starts():
    command = [sys.executable, "-m", "trials", "hosts", "--only", "99"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert refused.returncode == 2
    assert "99" in refused.stderr

"""Agents of one pod share a user: what one can read of another, and what their supervisor, the same user, still can.

Root may read everything, and so would see no fault: all of this is done by an ordinary user.
"""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pools.agent.descendants import become_subreaper
from pools.kernel.process_table import PodsProcess, children_of_pod, is_stopped, pods_processes
from pools.kernel.strays import end_strays
from pools.protocol import Ended, Ping, Pong
from tests.support.agents import PROJECT, Agent, Agents, config, running_agents
from tests.support.waiting import wait_until

ORDINARY = 65534
# It has to read this checkout, wherever that lies; the capability does not reach into other processes.
READS_FILES = {"dac_read_search": 2, "dac_override": 1}
SECRETS = {"environ", "mem", "maps", "auxv", "ptrace", "process_vm_readv", "fd/0", "ns/pid"}


def as_ordinary_user(scene: str, method: str) -> dict[str, Any]:
    """What a function of this module has found out, called in a process of an ordinary user."""
    program = f"import json; from {__name__} import {scene}; print(json.dumps({scene}({method!r})))"
    command = [sys.executable, "-c", program]
    if os.geteuid() == 0:
        ours = int(
            next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)[8:], 16
        )
        reads = "+" + next(name for name, bit in READS_FILES.items() if ours >> bit & 1)
        user = [f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"]
        command = ["setpriv", *user, f"--inh-caps={reads}", f"--ambient-caps={reads}", *command]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- scenes, in a process of an ordinary user ---------------------------------------------------------------


def nosy_bot(method: str) -> dict[str, Any]:
    """What a bot gets from a program that hides nothing, from a sibling and from the zygote."""
    assert os.geteuid() != 0
    with (
        subprocess.Popen(["sleep", "600"]) as open_to_all,
        running_agents(method, config("nosy")) as agents,
    ):
        agent, sibling = agents.start(), agents.start()
        pids = {"open": open_to_all.pid, "sibling": sibling.peer.pid}
        if method == "zygote":
            pids["zygote"] = agents.zygote.pid
        agent.go({"pids": list(pids.values())})
        found = agent.expect(Ended).detail
        open_to_all.kill()
        return {name: found[str(pid)] for name, pid in pids.items()}


def supervised(method: str) -> dict[str, Any]:
    """What their supervisor learns of its processes, and whether it can end them."""
    become_subreaper()
    pod = str(uuid.uuid4())
    with running_agents(method, config("leaves_children", pod=pod)) as agents:
        agent, other = agents.start(), agents.start()
        agents_only = {agent.peer.pid, other.peer.pid}
        found: dict[str, Any] = {"bytes": told_memory(agent), "untold": told_memory(agent, memory=False)}
        if method == "zygote":
            found["zygote_bytes"] = agents.zygote_ready.private_bytes
        listed = {process.pid for process in pods_processes() if process.pod == pod}
        found["listed"] = listed - agents_only == ({agents.zygote.pid} if method == "zygote" else set())
        assert agent.peer.pid and other.peer.pid
        os.kill(other.peer.pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(other.peer.pid or 0))
        found["leftovers"] = leftovers_ended(agents, agent, pod)
        seen = PodsProcess.at(other.peer.pid)
        found["killed"] = seen is not None and seen.session == other.peer.pid and seen.kill()
        agents.wait_until(lambda: other.peer.exited)
    return found


def told_memory(agent: Agent, *, memory: bool = True) -> int:
    agent.send(Ping(1, memory))
    return agent.expect(Pong).private_bytes


def leftovers_ended(agents: Agents, agent: Agent, pod: str) -> bool:
    """Of what a bot has left behind: a fork of its process, and a program in a session of its own."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "born"
        agent.go({"file": str(file), "stay": False})
        agent.expect(Ended)
        agents.wait_until(lambda: agent.peer.exited)
        agent.peer.exit_status()
        program = json.loads(file.read_text())[1]
    known = {other for other in children_of_pod(pod) if other != program}
    wait_until(lambda: program in children_of_pod(pod))
    return end_strays(pod, known) == 1 and os.waitpid(program, 0) == (program, signal.SIGKILL)


# --- what came of it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["zygote", "spawn"])
def test_a_bot_reads_neither_memory_nor_environment_of_others(method: str) -> None:
    found = as_ordinary_user("nosy_bot", method)
    assert set(found.pop("open")) >= SECRETS - {"process_vm_readv"}, "what is refused below is refused by us"
    assert found
    assert all(got == ["cmdline"] for got in found.values()), found


@pytest.mark.parametrize("method", ["zygote", "spawn"])
def test_their_supervisor_knows_their_memory_and_ends_them(method: str) -> None:
    found = as_ordinary_user("supervised", method)
    assert found["bytes"] > 256 * 1024
    assert found["untold"] == 0
    assert method == "spawn" or found["zygote_bytes"] > 4 << 20
    assert found["listed"] and found["leftovers"] and found["killed"]

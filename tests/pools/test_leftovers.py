"""What a killed supervisor leaves on its host and what cannot see its end, because it is frozen: the others end it."""

import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta

import psutil
import pytest
from django.db.models import F
from django.utils import timezone

from pools.agent.config import POD
from pools.kernel.process_table import PodsProcess
from pools.models import AgentProcess, Pod, StockStatus
from pools.processes.orphans import end_processes
from tests.support.agents import config, running_agents
from tests.support.make import make_agent_process, make_pod
from tests.support.programs import is_running, process_state, running_runpools
from tests.support.service import available_pids, connect_lead, is_full, run_until
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")


A_MINUTE = timedelta(minutes=1)  # longer than they are spared


def a_minute_later() -> None:
    """What has ended ended a minute earlier."""
    for model in (Pod, AgentProcess):
        model._default_manager.filter(ended_at__isnull=False).update(ended_at=F("ended_at") - A_MINUTE)


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process_state(pid) == psutil.STATUS_STOPPED)


def test_frozen_processes_of_a_killed_supervisor_are_ended_and_its_call_goes_on(pods, sandbox, tmp_path):
    variables = {"POD_NAME": "the-pod", "VOICE_AGENT_POOL_SIZE": "2", "VOICE_AGENT_SPOOL_DIR": str(tmp_path / "spool")}
    with running_runpools(sandbox, tmp_path, **variables) as victim:
        wait_until(lambda: AgentProcess.objects.available().count() == 2)
        call = connect_lead(sandbox)
        wait_until(call.bot_has_joined)
        call.join()
        wait_until(lambda: AgentProcess.objects.available().count() == 2)
        frozen = set(available_pids()) | {zygote_of(call.pid)}
        for pid in frozen:
            freeze(pid)
        victim.kill()
        successor = pods.start(pod_name="the-pod")
        run_until(successor, lambda: is_full(successor) and not frozen & set(available_pids()))
        a_minute_later()
        run_until(successor, lambda: not any(map(is_running, frozen)))
        assert is_running(call.pid) and call.is_active() and call.people() == ["Bot", "Caller"]
        call.hang_up()
        run_until(successor, call.is_over)
        assert call.session.end_reason == "caller_left"


def zygote_of(agent: int) -> int:
    with open(f"/proc/{agent}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def test_processes_of_pods_that_live_or_are_unknown_are_let_alone(pods, tmp_path):
    own, other = pods.start_full(agent_target=1), make_pod()
    with (
        running_agents("spawn", config(pod=str(other.uuid))) as neighbours,
        running_agents("spawn", config(pod=str(uuid.uuid4()))) as strangers,
    ):
        bystanders = [neighbours.start(), strangers.start()]
        assert end_processes(own.pod) == 0
        other.end("no heartbeat")
        a_minute_later()
        assert end_processes(own.pod) == 1
        neighbours.wait_until(lambda: bystanders[0].peer.exited)
        assert not bystanders[1].peer.exited
        assert all(map(is_running, available_pids()))


def test_another_program_is_not_touched_whatever_its_arguments_and_its_environment_say():
    ended = make_pod(ended_at=timezone.now() - A_MINUTE)
    command = [sys.executable, "-c", "input()", "-m", "pools.agent.zygote", "3", str(ended.uuid)]
    environment = {**os.environ, POD: str(ended.uuid)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as program:
        assert end_processes(make_pod()) == 0
        assert program.poll() is None
        program.kill()


def test_a_pid_that_has_become_somebody_elses_is_not_killed():
    with running_agents("spawn", config(pod=str(uuid.uuid4()))) as agents:
        agent = agents.start()
        assert agent.peer.pid
        seen = PodsProcess.at(agent.peer.pid)
        assert seen is not None
        former = PodsProcess(seen.pid, seen.session, pod=str(uuid.uuid4()))
        assert not former.kill()
        assert not agent.peer.exited
        assert seen.kill()
        agents.wait_until(lambda: agent.peer.exited)
        assert not seen.kill()


def test_a_process_whose_session_has_just_ended_may_say_its_last_words():
    pod = make_pod(ended_at=timezone.now() - A_MINUTE)
    with running_agents("spawn", config(pod=str(pod.uuid))) as agents:
        agent = agents.start()
        in_a_minute = timezone.now() + A_MINUTE  # just now, even if this machine takes a while to look
        make_agent_process(pod, StockStatus.ENDED, os_pid=agent.peer.pid, ended_at=in_a_minute)
        assert end_processes(make_pod()) == 0
        a_minute_later()
        a_minute_later()
        assert end_processes(make_pod()) == 1
        agents.wait_until(lambda: agent.peer.exited)

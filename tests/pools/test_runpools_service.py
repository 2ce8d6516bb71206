"""`manage.py runpools` as operators run it: a process that is signalled, killed, restarted, cut from its database."""

import os
import re
import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from django.db import connection
from django.db.models.functions import Now

from pools.daily.account import daily_client
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus
from pools.supervisor_config import Timings
from tests.support.daily_sandbox import Sandbox
from tests.support.database_proxy import DatabaseProxy
from tests.support.programs import Program, is_running, running_runpools
from tests.support.service import Call, connect_lead, is_full, pid_of, run_until
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")
DEADLINE = 45.0

QUICK = Timings(reap_lease=timedelta(seconds=0.5), presence=0.2)


@pytest.fixture(autouse=True)
def daily(settings, sandbox):
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key
    daily_client.cache_clear()
    yield
    daily_client.cache_clear()


def wait_until_full(name: str | None = None, agents: int = 1, rooms: int = 2) -> Pod:
    """Until the current pod (of this name) has its stock."""

    def full() -> Pod | None:
        pod = Pod.objects.current().filter(**{"name": name} if name else {}).first()
        if pod is None or AgentProcess.objects.available().filter(pod=pod).count() != agents:
            return None
        return pod if Room.objects.available().filter(pod=pod).count() == rooms else None

    pod = wait_until(full, DEADLINE)
    assert pod
    return pod


def probes_of(runpools: Program) -> str:
    """Base URL of its probes."""
    wait_until(runpools.says("event=probes_listen"), DEADLINE)
    (port,) = re.findall(r"event=probes_listen port=(\d+)", runpools.output())
    return f"http://127.0.0.1:{port}"


def loop_age(runpools: Program) -> float:
    """Seconds since its loop last turned; /health fails when these are too many."""
    metrics = requests.get(f"{probes_of(runpools)}/metrics", timeout=5).text
    (age,) = re.findall(r"^breeze_buddy_loop_age_seconds (\S+)", metrics, re.MULTILINE)
    return float(age)


def call_in_progress(sandbox: Sandbox) -> Call:
    call = connect_lead(sandbox)
    wait_until(call.bot_has_joined)
    call.join()
    wait_until(call.caller_has_joined)
    return call


# --- running and stopping ----------------------------------------------------------------------------------


def test_it_keeps_the_pools_it_was_told_to_and_answers_probes(sandbox, tmp_path):
    arguments = ("--processes", "2", "--rooms", "4", "--pod-name", "north-1")
    with running_runpools(sandbox, tmp_path, *arguments, VOICE_AGENT_MAX_POOL_SIZE="1") as runpools:
        probes = probes_of(runpools)
        pod = wait_until_full("north-1", agents=2, rooms=4)
        assert (pod.agent_target, pod.agent_cap, pod.room_target, pod.os_pid) == (2, 2, 4, runpools.pid)
        assert requests.get(f"{probes}/health", timeout=5).json() == {"status": "ok"}
        wait_until(lambda: requests.get(f"{probes}/health/ready", timeout=5).json() == {"status": "ok"})
        wait_until(lambda: requests.get(f"{probes}/health/warm", timeout=5).status_code == 200)
        assert requests.get(f"{probes}/anything", timeout=5).status_code == 404
        processes = runpools.descendants()
        assert len(processes) == 4  # the zygote, the process that redacts its output, and two agents
        runpools.signal(signal.SIGTERM)
        assert runpools.wait() == 0
        wait_until(lambda: not any(map(is_running, processes)))
    pod.refresh_from_db()
    assert (pod.draining, pod.end_reason) == (True, "stopped")
    assert Room.objects.available().filter(pod=None).count() == len(sandbox.rooms()) == 4
    assert not AgentProcess.objects.current().exists()


def test_a_pod_whose_pools_have_never_been_full_is_alive_and_ready_but_has_not_been_warm(sandbox, tmp_path):
    sandbox.fault("503", "POST", "/rooms")
    with running_runpools(sandbox, tmp_path, VOICE_AGENT_POOL_SIZE="1") as runpools:
        probes = probes_of(runpools)
        wait_until(lambda: AgentProcess.objects.available().count() == 1)
        wait_until(lambda: requests.get(f"{probes}/health/ready", timeout=5).status_code == 200)
        cold = {"detail": "rooms: fewer than 2 are ready"}  # once the turn is over that has made the process available
        wait_until(lambda: requests.get(f"{probes}/health/warm", timeout=5).json() == cold)
        assert requests.get(f"{probes}/health/warm", timeout=5).status_code == 503
        sandbox.clear_faults()
        wait_until(lambda: requests.get(f"{probes}/health/warm", timeout=5).status_code == 200)


def test_a_first_sigterm_lets_a_call_finish(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path) as runpools:
        wait_until_full()
        call = call_in_progress(sandbox)
        runpools.signal(signal.SIGTERM)
        wait_until(lambda: Pod.objects.get().draining and AgentProcess.objects.current().count() == 1)
        assert runpools.process.poll() is None and call.people() == ["Bot", "Caller"]
        call.hang_up()
        assert runpools.wait() == 0
    assert (call.session.end_reason, call.lead.outcome) == ("caller_left", "caller_left")


def test_a_second_sigterm_stops_now_and_records_what_it_cut(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path) as runpools:
        wait_until_full()
        call = call_in_progress(sandbox)
        runpools.signal(signal.SIGTERM)
        wait_until(lambda: Pod.objects.get().draining)
        runpools.signal(signal.SIGTERM)
        assert runpools.wait() == 0
        assert "event=stop_now" in runpools.output()
    assert (call.session.end_reason, call.lead.status) == ("pod_stopped", "FINISHED")
    assert not is_running(call.pid)


def test_ctrl_c_drains_and_does_not_wait_long_for_calls(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path, DRAIN_TIMEOUT="0.5") as runpools:
        wait_until_full()
        call = call_in_progress(sandbox)
        runpools.signal(signal.SIGINT)
        assert runpools.wait() == 0
        assert "Traceback" not in runpools.output()
    assert call.session.end_reason == "pod_stopped"


# --- names, and the death of a supervisor ------------------------------------------------------------------


def test_a_second_one_with_a_name_that_is_taken_is_refused(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path, "--pod-name", "north-1") as first:
        pod = wait_until_full()
        with running_runpools(sandbox, tmp_path, "--pod-name", "north-1") as second:
            assert second.wait() == 1
            assert f"a runpools named north-1 is running on {pod.host} (pid {first.pid})" in second.output()
            assert "another --pod-name" in second.output() and "Traceback" not in second.output()
        assert Pod.objects.get() == pod
        assert AgentProcess.objects.available().count() == 1


def test_a_killed_one_is_taken_over_at_once_and_its_call_goes_on_to_its_result(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path, "--pod-name", "north-1") as first:
        wait_until_full()
        call = call_in_progress(sandbox)
        wait_until_full()
        idle = pid_of(AgentProcess.objects.available().get())
        pid = call.pid
        first.kill()
        wait_until(lambda: not is_running(idle))
        with running_runpools(sandbox, tmp_path, "--pod-name", "north-1") as second:
            wait_until_full("north-1")
            assert Room.objects.available().count() == 2 and len(sandbox.rooms()) == 3  # the rooms were adopted
            assert call.is_active() and is_running(pid) and call.people() == ["Bot", "Caller"]
            call.hang_up()
            wait_until(call.is_over)
            assert (call.session.end_reason, call.session.outcome) == ("caller_left", "caller_left")
            assert (call.lead.status, call.lead.outcome) == ("FINISHED", "caller_left")
            wait_until(lambda: not is_running(pid) and call.room_name not in sandbox.rooms())
            assert call.process.status == StockStatus.ENDED
            wait_until(lambda: not list((tmp_path / "data" / "spool").iterdir()))
            second.signal(signal.SIGTERM)
            assert second.wait() == 0


def test_the_sessions_of_a_lost_pod_go_to_another_and_its_calls_go_on(pods, sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path, "--processes", "2", "--rooms", "3") as lost:
        wait_until_full(agents=2, rooms=3)
        call_in_progress(sandbox)
        wait_until_full(agents=2, rooms=3)
        lost.kill()
        assigned = connect_lead(sandbox)  # to a process that is no more
        assert assigned.status == SessionStatus.ASSIGNED
    Pod.objects.update(heartbeat_at=Now() - timedelta(seconds=60))
    pod = pods.start(timings=QUICK)
    run_until(pod, assigned.bot_has_joined)
    assert assigned.process.pod == pod.pod
    assert Pod.objects.current().get() == pod.pod
    assert not AgentProcess.objects.current().exclude(pod=pod.pod).exclude(voice_session__status="active").exists()
    run_until(pod, lambda: is_full(pod))


def test_a_call_of_a_lost_pod_ends_when_its_bot_is_gone(pods, sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path) as lost:
        wait_until_full()
        call = call_in_progress(sandbox)
        lost.kill()
        Pod.objects.update(heartbeat_at=Now() - timedelta(seconds=60))
        pod = pods.start(timings=QUICK)
        run_until(pod, lambda: list(Pod.objects.current()) == [pod.pod] and is_full(pod))
        calls = sandbox.calls("GET /presence").get("200", 0)
        run_until(pod, lambda: sandbox.calls("GET /presence").get("200", 0) > calls + 2)  # it has been looked for
        assert call.is_active() and call.people() == ["Bot", "Caller"]
        os.kill(call.pid, signal.SIGKILL)
        run_until(pod, call.is_over)
    assert (call.session.end_reason, call.lead.outcome) == ("supervisor_lost", "UNKNOWN")
    run_until(pod, lambda: call.room_name not in sandbox.rooms())


def test_one_that_was_paused_past_its_lease_finds_out_and_stops(pods, sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path) as paused:
        wait_until_full()
        call = call_in_progress(sandbox)
        wait_until_full()
        paused.signal(signal.SIGSTOP)
        Pod.objects.update(heartbeat_at=Now() - timedelta(seconds=60))
        other = pods.start(timings=QUICK)
        run_until(other, lambda: list(Pod.objects.current()) == [other.pod] and is_full(other))
        assert not AgentProcess.objects.available().exclude(pod=other.pod).exists()
        assert call.is_active() and call.people() == ["Bot", "Caller"], "nobody cuts a call whose bot is there"
        paused.signal(signal.SIGCONT)
        run_until(other, paused.says("event=pod_was_reaped"))
        call.hang_up()
        run_until(other, lambda: paused.process.poll() is not None)
        assert paused.process.returncode == 0
        assert (call.session.end_reason, call.lead.outcome) == ("caller_left", "caller_left")
        assert list(Pod.objects.current()) == [other.pod], "it has not come back as another pod"
        assert not AgentProcess.objects.available().exclude(pod=other.pod).exists()


# --- the database ------------------------------------------------------------------------------------------


@pytest.fixture
def database() -> Iterator[DatabaseProxy]:
    with DatabaseProxy() as proxy:
        yield proxy


def test_a_database_that_does_not_answer_is_waited_for(sandbox, tmp_path, database):
    with running_runpools(sandbox, tmp_path, DATABASE_URL=database.url) as runpools:
        wait_until(runpools.says("The database does not answer"), DEADLINE)
        ready = requests.get(f"{probes_of(runpools)}/health/ready", timeout=5)
        assert (ready.status_code, ready.json()) == (503, {"detail": "starting"})
        oldest = 0.0

        def lives_on() -> bool:
            nonlocal oldest
            age = loop_age(runpools)
            oldest = max(oldest, age)
            return age < oldest

        wait_until(lives_on, DEADLINE)
        database.open()
        wait_until_full()
        assert "Traceback" not in runpools.output()


def test_calls_go_on_and_their_ends_are_kept_while_the_database_is_away(sandbox, tmp_path, database):
    database.open()
    with running_runpools(sandbox, tmp_path, DATABASE_URL=database.url) as runpools:
        pod = wait_until_full()
        call, ending = call_in_progress(sandbox), call_in_progress(sandbox)
        pid = ending.pid
        wait_until_full()
        database.shut()
        wait_until(runpools.says("event=database_away"), DEADLINE)
        probes = probes_of(runpools)
        wait_until(lambda: requests.get(f"{probes}/health/ready", timeout=5).status_code == 503)
        assert requests.get(f"{probes}/health", timeout=5).status_code == 200
        ending.hang_up()
        wait_until(lambda: not is_running(pid))
        assert ending.is_active()  # nobody can say otherwise yet
        database.open()
        wait_until(ending.is_over, DEADLINE)
        assert (ending.session.end_reason, ending.lead.outcome) == ("caller_left", "caller_left")
        assert wait_until_full() == pod
        assert call.is_active() and call.people() == ["Bot", "Caller"]
        wait_until(lambda: requests.get(f"{probes}/health/ready", timeout=5).status_code == 200)
        assert runpools.output().count("event=database_away") == 1
        assert "Traceback" not in runpools.output()


def test_lost_connections_to_the_database_cost_no_call(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path) as runpools:
        pod = wait_until_full()
        call = call_in_progress(sandbox)
        wait_until_full()
        for _ in range(2):
            assert cut_all_connections_but_ours() >= 2
            later = connect_lead(sandbox)
            wait_until(later.bot_has_joined, DEADLINE)
            later.leave(later.join())
            wait_until(later.is_over)
        assert call.is_active() and call.people() == ["Bot", "Caller"]
        call.hang_up()
        wait_until(call.is_over)
        assert call.lead.outcome == "caller_left"
        assert wait_until_full() == pod  # the same incarnation
        cut_all_connections_but_ours()
        runpools.signal(signal.SIGTERM)
        assert runpools.wait() == 0
        assert "Traceback" not in runpools.output()


def cut_all_connections_but_ours() -> int:
    """As a restart or a failover of the database does; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])

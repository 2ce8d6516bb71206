"""Agent processes that die or hang: sessions are handed to others, calls end with a reason, the stock is made up."""

import json
import os
import signal

import psutil
import pytest

from leads.models import LeadStatus
from pools.models import AgentProcess, Room, SessionStatus, StockStatus
from pools.supervisor_config import Timings
from tests.support.agents import BOTS
from tests.support.make import make_lead
from tests.support.programs import is_running, process_state
from tests.support.service import call_in_progress, connect_lead, is_full, pid_of, run_until
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")
A_MINUTE = 60.0


def stop(pid: int) -> None:
    """From now on it hangs."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process_state(pid) == psutil.STATUS_STOPPED)


def next_to_be_claimed() -> AgentProcess:
    return AgentProcess.objects.available().latest("pk")


# --- available ones ----------------------------------------------------------------------------------------


def test_an_available_process_that_dies_is_noticed_and_replaced_at_once(pods):
    pod = pods.start_full(poll_interval=A_MINUTE, heartbeat_interval=A_MINUTE)
    victim = next_to_be_claimed()
    os.kill(pid_of(victim), signal.SIGKILL)
    run_until(pod, lambda: is_full(pod) and not AgentProcess.objects.available().filter(pk=victim.pk))
    victim.refresh_from_db()
    assert victim.end_reason.startswith("exited")


def test_an_available_process_that_hangs_is_killed_and_replaced(pods):
    pod = pods.start_full(timings=Timings(ping_idle=0.2, pong_idle=0.5))
    victim = next_to_be_claimed()
    stop(pid_of(victim))
    run_until(pod, lambda: is_full(pod) and not AgentProcess.objects.available().filter(pk=victim.pk))
    assert not is_running(pid_of(victim))
    victim.refresh_from_db()
    assert (victim.status, victim.end_reason) == (StockStatus.ENDED, "hung: no answer to a ping")


def test_an_available_process_that_has_more_memory_than_allowed_is_replaced(pods):
    pod = pods.start_full(agent_target=1, memory_limit=1, timings=Timings(recycle=0.2))
    large = next_to_be_claimed()
    run_until(pod, lambda: not AgentProcess.objects.available().filter(pk=large.pk) and is_full(pod))
    large.refresh_from_db()
    assert (large.status, large.end_reason) == (StockStatus.ENDED, "recycled: above the memory limit")


def test_a_zygote_that_hangs_is_replaced_and_who_waits_for_it_is_served(pods, sandbox):
    pod = pods.start_full(timings=Timings(stopped_zygote=0.5), agent_target=1)
    zygote = pod.agents.zygote.pid
    stop(zygote)
    calls = [connect_lead(sandbox) for _ in range(2)]
    for call in calls:
        run_until(pod, call.bot_has_joined)
    assert pod.agents.zygote.pid != zygote and not is_running(zygote)


# --- claimed ones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before the claim", "after the claim"])
def test_a_session_whose_process_has_died_is_handed_to_another(pods, sandbox, moment):
    pod = pods.start_full()
    victim = next_to_be_claimed()
    if moment == "before the claim":
        os.kill(pid_of(victim), signal.SIGKILL)
        wait_until(lambda: not is_running(pid_of(victim)))
    call = connect_lead(sandbox)
    assert call.pid == pid_of(victim)
    if moment == "after the claim":
        os.kill(pid_of(victim), signal.SIGKILL)
    run_until(pod, call.bot_has_joined)
    assert call.session.attempt == 2
    assert call.pid != pid_of(victim)
    assert call.people() == ["Bot"]
    run_until(pod, lambda: is_full(pod))


def test_a_session_whose_process_hangs_is_handed_to_another_after_its_death(pods, sandbox):
    pod = pods.start_full()
    victim = next_to_be_claimed()
    stop(pid_of(victim))
    call = connect_lead(sandbox)
    room = call.room_name
    run_until(pod, lambda: call.session.attempt == 2)
    assert not is_running(pid_of(victim))
    run_until(pod, call.bot_has_joined)
    assert call.pid != pid_of(victim)
    assert call.session.room.name == room
    victim.refresh_from_db()
    assert (victim.status, victim.end_reason) == (StockStatus.ENDED, "did not acknowledge its session")


def test_a_session_that_no_process_can_start_gives_its_lead_back(pods, sandbox, tmp_path):
    """Rooms of the sandbox are joined by the shell; in this one the bot would have to join, and it raises first."""
    (tmp_path / "raises.py").write_text("async def bot(args):\n    raise RuntimeError('no microphone')\n")
    pod = pods.start_full(bot="raises", bot_dir=tmp_path, room_target=1, sandbox=False)
    Room.objects.available().update(url="https://example.daily.co/a-room")
    call = connect_lead(sandbox)
    run_until(pod, call.is_over)
    session = call.session
    assert (session.end_reason, session.attempt) == ("not_started", 3)
    assert "no microphone" in session.detail["problem"]
    lead = call.lead
    assert (lead.status, lead.voice_session) == (LeadStatus.BACKLOG, None)
    run_until(pod, lambda: is_full(pod))


def test_a_room_that_was_deleted_at_daily_costs_one_process_and_gives_the_lead_back(pods, sandbox):
    pod = pods.start_full(room_target=1)
    (room,) = Room.objects.available()
    sandbox.call("DELETE", f"/rooms/{room.name}")
    call = connect_lead(sandbox)
    run_until(pod, call.is_over)
    session = call.session
    assert (session.room, session.end_reason, session.attempt) == (room, "not_started", 1)
    assert "no-room" in session.detail["problem"]
    lead = call.lead
    assert (lead.status, lead.voice_session) == (LeadStatus.BACKLOG, None)
    run_until(pod, lambda: is_full(pod))
    again = connect_lead(sandbox, lead)
    run_until(pod, again.bot_has_joined)
    assert again.room_name != room.name


def test_a_session_whose_bot_dies_on_its_way_into_the_room_is_handed_to_another(pods, sandbox):
    """A bot of a real Daily room joins by itself; the light one never does."""
    pod = pods.start_full(room_target=1, sandbox=False)
    Room.objects.available().update(url="https://example.daily.co/a-room")
    call = connect_lead(sandbox)
    run_until(pod, call.is_active)
    first = call.pid
    os.kill(first, signal.SIGKILL)
    run_until(pod, lambda: call.session.attempt == 2 and call.is_active())
    assert call.pid != first
    assert call.lead.status == LeadStatus.PROCESSING


# --- in a call ---------------------------------------------------------------------------------------------


def test_a_process_that_dies_in_a_call_ends_its_session_and_no_other(pods, sandbox):
    pod = pods.start_full()
    call, other = call_in_progress(pod, sandbox), call_in_progress(pod, sandbox)
    os.kill(call.pid, signal.SIGKILL)
    run_until(pod, call.is_over)
    session = call.session
    assert session.end_reason == "agent_lost"
    assert (call.lead.status, call.lead.outcome) == (LeadStatus.FINISHED, "UNKNOWN")
    run_until(pod, lambda: call.room_name not in sandbox.rooms() and is_full(pod))
    assert other.is_active() and other.people() == ["Bot", "Caller"]


@pytest.mark.parametrize("killed", [True, False])
def test_what_a_bot_has_started_ends_with_its_process_and_the_slot_is_free(pods, sandbox, tmp_path, killed):
    pod = pods.start_full(bot="leaves_children", bot_dir=BOTS, agent_target=1, max_processes=2)
    files = [tmp_path / str(number) for number in range(3)]
    for file in files:
        call = connect_lead(sandbox, make_lead(payload={"file": str(file), "stay": killed}))
        run_until(pod, file.exists)
        if killed:
            run_until(pod, call.bot_has_joined)
            os.kill(call.pid, signal.SIGKILL)
        run_until(pod, call.is_over)
        assert call.session.end_reason == ("agent_lost" if killed else "bot_ended")
        run_until(pod, lambda: is_full(pod) and pod.agents.free_slots == 1)
    started = [pid for file in files for pid in json.loads(file.read_text())]
    run_until(pod, lambda: not any(map(is_running, started)))
    pod.drain(60)
    run_until(pod, lambda: pod.finished)


def test_a_process_that_hangs_in_a_call_is_killed_and_ends_its_session(pods, sandbox):
    pod = pods.start_full(timings=Timings(ping_in_call=0.2, pong_in_call=0.5))
    call = call_in_progress(pod, sandbox)
    pid = call.pid
    stop(pid)
    run_until(pod, call.is_over)
    assert (call.session.end_reason, call.session.detail) == ("agent_lost", {"problem": "hung: no answer to a ping"})
    assert not is_running(pid)
    run_until(pod, lambda: is_full(pod))


def test_a_bot_that_raises_in_a_call_ends_it_with_its_error(pods, sandbox, tmp_path):
    (tmp_path / "raises.py").write_text("async def bot(args):\n    raise RuntimeError(f'no model for {args.token}')\n")
    pod = pods.start_full(bot="raises", bot_dir=tmp_path)
    call = connect_lead(sandbox)
    run_until(pod, call.is_over)
    session = call.session
    assert session.end_reason == "bot_error"
    assert session.detail == {"error": "RuntimeError: no model for [redacted]"}
    assert (call.lead.status, call.lead.outcome) == (LeadStatus.FINISHED, "UNKNOWN")


def test_a_process_that_breaks_the_protocol_costs_only_itself(pods, sandbox, tmp_path):
    """The bot finds the control socket and writes rubbish to it."""
    (tmp_path / "babbles.py").write_text(
        "import asyncio, os, socket\n"
        "from pools.agent.sandbox_room import current_room\n"
        "def babble(event, participant):\n"
        "    for fd in range(3, 64):\n"
        "        try:\n"
        "            peer = socket.socket(fileno=os.dup(fd))\n"
        "            if peer.family == socket.AF_UNIX:\n"
        "                peer.send(b'\\xff' * 64)\n"
        "        except OSError:\n"
        "            continue\n"
        "async def bot(args):\n"
        "    current_room().subscribe(babble)\n"
        "    await asyncio.Event().wait()\n"
    )
    pod = pods.start_full(bot="babbles", bot_dir=tmp_path)
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    call.join()
    run_until(pod, call.is_over)
    assert call.session.end_reason == "agent_lost"
    assert call.session.detail == {"problem": "protocol error"}
    run_until(pod, lambda: is_full(pod))


def test_no_lead_is_lost_when_every_process_dies(pods, sandbox):
    pod = pods.start_full(agent_target=3, room_target=3)
    calls = [connect_lead(sandbox, make_lead()) for _ in range(3)]
    for agent in pod.agents.agents.values():
        agent.channel.kill()
    for call in calls:
        run_until(pod, call.bot_has_joined)
    assert {call.session.attempt for call in calls} == {2}
    assert {call.lead.status for call in calls} == {LeadStatus.PROCESSING}
    assert len({call.pid for call in calls}) == 3
    assert [call.status for call in calls] == [SessionStatus.ACTIVE] * 3


def test_a_session_is_over_before_its_bot_has_done_what_it_left_and_the_slot_counts_until_then(pods, sandbox, tmp_path):
    pod = pods.start_full(bot="leaves_work", bot_dir=BOTS, agent_target=1, afterwork=60.0)
    call = connect_lead(sandbox, make_lead(payload={"folder": str(tmp_path), "endless": True}))
    run_until(pod, call.is_over)
    pid = call.pid
    run_until(pod, (tmp_path / "thread").exists)
    assert is_running(pid) and [agent.channel.pid for agent in pod.agents.busy()] == [pid]
    pod.drain(0)
    run_until(pod, lambda: pod.finished)
    assert not is_running(pid) and call.session.end_reason == "bot_ended"


# --- bots that do not let go -------------------------------------------------------------------------------

BLOCKING_BOT = """
import time
from pools.agent.sandbox_room import current_room

async def bot(args):
    current_room().subscribe(lambda event, participant: time.sleep(600))
    import asyncio
    await asyncio.Event().wait()
"""


def test_a_bot_that_heeds_no_limit_is_killed(pods, sandbox, tmp_path):
    (tmp_path / "blocks.py").write_text(BLOCKING_BOT)
    pod = pods.start_full(bot="blocks", bot_dir=tmp_path, session_limit=3, timings=Timings(overtime=0.2))
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    call.join()
    run_until(pod, call.is_over)
    assert call.session.end_reason == "agent_lost"
    assert call.session.detail == {"problem": "outstayed the session limit"}
    run_until(pod, lambda: is_full(pod))


def test_a_bot_that_heeds_no_stop_is_killed_and_its_end_recorded(pods, sandbox, tmp_path):
    (tmp_path / "blocks.py").write_text(BLOCKING_BOT)
    pod = pods.start_full(bot="blocks", bot_dir=tmp_path, timings=Timings(stop_now=0.2))
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    call.join()
    pid = call.pid
    pod.drain(0)
    run_until(pod, lambda: pod.finished)
    assert (call.session.end_reason, call.session.detail) == ("pod_stopped", {"problem": "pod stopped"})
    assert call.lead.status == LeadStatus.FINISHED
    assert not is_running(pid)

"""Bots that cannot be started, and zygotes that die: said clearly, tried again with pauses, mended by themselves."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import Unavailable
from leads.models import LeadStatus
from pools.api.start_problems import answered
from pools.models import AgentProcess, Pod, Room
from pools.sessions.claims import PoolExhausted
from pools.supervisor_config import Timings
from tests.support.make import make_lead
from tests.support.programs import is_running
from tests.support.service import BOTS, available_pids, call_in_progress, connect_lead, is_full, run_until

pytestmark = pytest.mark.usefixtures("transactional_db")
SILENT_BOT = "import asyncio\nasync def bot(args):\n    await asyncio.Event().wait()\n"


def trouble() -> str:
    return Pod.objects.get().agent_trouble


@pytest.fixture
def write_bot(tmp_path: Path) -> Callable[[str], dict[str, object]]:
    """Writes a bot that counts its imports in `imports`; returns what `pods.start` needs to know."""

    def write(source: str) -> dict[str, object]:
        path = tmp_path / "my_bot.py"
        path.write_text(f"open({str(tmp_path / 'imports')!r}, 'a').write('x')\n{source}")
        return {"bot": "my_bot", "bot_dir": tmp_path}

    return write


def imports(tmp_path: Path) -> int:
    return len((tmp_path / "imports").read_text())


# --- bots that do not start --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "bot", "reason"),
    [
        ("zygote", "misses_a_module", "No module named 'a_module_that_nobody_has'"),
        ("zygote", "exits_at_import", "SystemExit: no licence"),
        ("zygote", "not_async", "has no `async def bot(runner_args)`"),
        ("spawn", "raises_at_import", "RuntimeError: the provider refused"),
    ],
)
def test_a_bot_that_does_not_start_is_reported_with_its_reason(pods, caplog, method, bot, reason):
    pod = pods.start(bot=bot, bot_dir=BOTS, start_method=method, agent_target=1)
    run_until(pod, trouble)
    assert reason in trouble() and bot in trouble()
    (said,) = {record.message for record in caplog.records if record.levelname == "ERROR"}
    assert reason in said and "retry_in=" in said
    run_until(pod, lambda: Room.objects.available().count() == 2)  # the rooms have no part in it


@pytest.mark.parametrize("method", ["zygote", "spawn"])
def test_a_bot_that_hangs_while_warming_is_given_up(pods, method):
    pod = pods.start(bot="hangs_at_import", bot_dir=BOTS, start_method=method, agent_target=1, warmup_timeout=1)
    run_until(pod, trouble)
    assert "within 1 s" in trouble()


@pytest.mark.parametrize("method", ["zygote", "spawn"])
def test_a_bot_that_does_not_start_is_not_tried_over_and_over(pods, tmp_path, write_bot, method):
    bot = write_bot("raise RuntimeError('no')")
    pod = pods.start(**bot, start_method=method, agent_target=1, poll_interval=0.01)
    run_until(pod, trouble)
    assert imports(tmp_path) == 1
    failed_at = time.monotonic()
    run_until(pod, lambda: imports(tmp_path) == 2)
    assert time.monotonic() - failed_at > 1.0


def test_a_bot_that_does_not_start_takes_no_sessions_and_operators_are_told_why(pods, sandbox, caplog):
    pod = pods.start(bot="raises_at_import", bot_dir=BOTS)
    run_until(pod, lambda: trouble() and Room.objects.available().count() == 2)
    lead = make_lead()
    with pytest.raises(PoolExhausted, match=r"^no agent process starts at the moment$") as refusal:
        connect_lead(sandbox, lead)
    assert refusal.value.retry_after >= 5
    assert "RuntimeError: the provider refused" in refusal.value.trouble
    with pytest.raises(Unavailable, match=r"^no agent process starts at the moment$"), answered():
        raise refusal.value
    assert "the provider refused" in caplog.messages[-1]
    lead.refresh_from_db()
    assert lead.status == LeadStatus.BACKLOG
    assert Room.objects.available().count() == 2


def test_a_bot_that_is_mended_starts_by_itself(pods, sandbox, write_bot):
    pod = pods.start(**write_bot("raise RuntimeError('no')"))
    run_until(pod, trouble)
    write_bot(SILENT_BOT)
    run_until(pod, lambda: is_full(pod) and not trouble())
    run_until(pod, connect_lead(sandbox).bot_has_joined)


@pytest.mark.parametrize(
    ("bot", "named"), [("starts_a_thread", "the-bots-own"), ("connects_at_import", "connected to 127.0.0.1:")]
)
def test_a_bot_whose_import_leaves_what_must_not_be_shared_is_spawned_instead(pods, sandbox, caplog, bot, named):
    pod = pods.start_full(bot=bot, bot_dir=BOTS)
    assert set(AgentProcess.objects.available().values_list("start_method", flat=True)) == {"spawn"}
    (said,) = {record.message for record in caplog.records if "fork_refused" in record.message}
    assert named in said
    call = connect_lead(sandbox)
    run_until(pod, call.is_over)
    assert call.session.end_reason == "bot_ended"
    run_until(pod, lambda: is_full(pod))
    assert not trouble()


def test_spawned_processes_serve_like_forked_ones(pods, sandbox):
    pod = pods.start_full(start_method="spawn", agent_target=1)
    call = call_in_progress(pod, sandbox)
    assert call.process.start_method == "spawn"
    call.hang_up()
    run_until(pod, call.is_over)
    assert call.lead.outcome == "caller_left"
    run_until(pod, lambda: is_full(pod))


# --- the zygote --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proved_itself_after_s", [10.0, 0.0])
def test_a_zygote_that_dies_takes_nobody_with_it_and_is_replaced(pods, sandbox, proved_itself_after_s):
    """One that has lived for a while is replaced in the same turn: the new one may well get the old descriptor."""
    pod = pods.start_full(timings=Timings(zygote_proven=proved_itself_after_s))
    call = call_in_progress(pod, sandbox)
    run_until(pod, lambda: is_full(pod))
    available = set(available_pids())
    zygote = pod.agents.zygote.pid
    os.kill(zygote, signal.SIGKILL)
    run_until(pod, lambda: pod.agents.zygote.pid != zygote)
    assert set(available_pids()) == available
    assert all(map(is_running, available))
    second = connect_lead(sandbox)  # from the stock
    run_until(pod, second.bot_has_joined)
    run_until(pod, lambda: pod.agents.zygote.zygote and is_full(pod))
    assert pod.agents.zygote.pid != zygote
    assert call.is_active() and call.people() == ["Bot", "Caller"]


def test_a_session_waits_for_the_new_zygote(pods, sandbox):
    pod = pods.start_full(agent_target=0)
    run_until(pod, lambda: pod.agents.zygote.zygote)
    call = connect_lead(sandbox)
    os.kill(pod.agents.zygote.pid, signal.SIGKILL)
    run_until(pod, call.bot_has_joined)


def test_without_a_zygote_processes_are_spawned(pods, tmp_path, write_bot):
    """Native code that kills the zygote each time it warms up, but not an interpreter of its own."""
    bot = write_bot(
        "import os, sys\n"
        "if 'pools.agent.zygote' in getattr(sys.modules['__main__'].__spec__, 'name', ''):\n"
        f"    os.kill(os.getpid(), 9)\n{SILENT_BOT}"
    )
    pods.start_full(**bot, agent_target=1)
    assert set(AgentProcess.objects.available().values_list("start_method", flat=True)) == {"spawn"}
    assert imports(tmp_path) >= 3  # two zygotes and one process

"""Warming up, and refusing to fork where that is not safe."""

import os
import re
from pathlib import Path

import pytest

from pools.agent.launcher import AgentConfig, Zygote, spawn
from pools.protocol import Ended, ForkRefused, Ready, WarmupFailed, ZygoteReady
from tests.support.agents import BOTS, START_METHODS, Agent, Conversation, config, running_agents
from tests.support.waiting import wait_until


def warmup_failure(method: str, config: AgentConfig) -> str:
    """The reason that is given, once the process that gave it is gone."""
    if method == "zygote":
        zygote = Zygote(config)
        zygote.start()
        says = Conversation(zygote)
        reason = says.expect(WarmupFailed).reason
        says.expect_eof()
        wait_until(lambda: not zygote.alive)
        zygote.stop()
    else:
        agent = Agent(spawn(config, "an-agent"))
        reason = agent.expect(WarmupFailed).reason
        agent.expect_eof()
        agent.wait_for_exit()
        agent.peer.close()
    return reason


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.parametrize(
    ("bot", "reason"),
    [
        ("misses_a_module", "does not import: ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("there_is_no_such_module", f"it is looked for in {BOTS} first (VOICE_AGENT_BOT_DIR)"),
        ("no module name", "does not import: ModuleNotFoundError"),
        ("exits_at_import", "does not import: SystemExit: no licence"),
        ("exits_at_import_after_words", "does not import: SystemExit: 1: Set MY_LICENCE first"),
        ("raises_at_import", "does not import: RuntimeError: the provider refused"),
        ("not_async", "has no `async def bot(runner_args)`"),
        ("telephony_only", "can join no Daily room, it only knows twilio, webrtc: give create_transport"),
        ("tests.support.waiting", "has no `async def bot(runner_args)`"),
    ],
)
def test_a_bot_that_cannot_be_run_is_a_reason_of_one_line(method: str, bot: str, reason: str) -> None:
    told = warmup_failure(method, config(bot))
    assert told.startswith(f"bot module {bot} ")
    assert reason in told
    assert "\n" not in told
    assert "THE-PROVIDER-KEY" not in told


def test_a_bot_directory_that_does_not_exist_is_a_reason(tmp_path: Path) -> None:
    told = warmup_failure("zygote", config(bot_dir=tmp_path / "missing"))
    assert told == f"bot directory {tmp_path}/missing: No such file or directory"


def test_a_bot_that_hangs_while_warming_can_be_killed() -> None:
    zygote = Zygote(config("hangs_at_import"))
    zygote.start()
    channel = zygote.fork("never")
    zygote.kill()
    wait_until(lambda: not zygote.alive)
    Conversation(channel).expect_eof()
    channel.close()


def test_a_zygote_with_a_second_thread_refuses_to_fork_and_the_bot_can_still_be_spawned() -> None:
    with running_agents("zygote", config("starts_a_thread")) as agents:
        assert agents.zygote_ready.threads == 2
        agent = agents.start_unready()
        refused = agents.zygote_says.expect(ForkRefused).reason
        assert refused == "it has 2 threads after its import, besides the main one: the-bots-own"
        assert agents.zygote_ready.unsafe == refused
        agent.expect_eof()
        agent.peer.close()
        assert agents.zygote.alive
    with running_agents("spawn", config("starts_a_thread")) as agents:
        agent = agents.start()
        agent.go()
        assert agent.expect(Ended).reason == "bot_ended"


def test_a_zygote_that_is_connected_since_its_import_refuses_to_fork_and_says_to_whom() -> None:
    with running_agents("zygote", config("connects_at_import")) as agents:
        assert re.fullmatch(
            r"it is connected to 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+ since its import", agents.zygote_ready.unsafe
        )
        agent = agents.start_unready()
        assert agents.zygote_says.expect(ForkRefused).reason == agents.zygote_ready.unsafe
        agent.expect_eof()
        agent.peer.close()


def test_sockets_that_are_no_connections_do_not_keep_a_zygote_from_forking() -> None:
    with running_agents("zygote", config("opens_sockets_at_import")) as agents:
        assert agents.zygote_ready.unsafe == ""
        agents.start()


def test_what_sentry_imports_when_it_is_started_is_there_before_the_fork() -> None:
    with running_agents("zygote", config("uses_sentry")) as agents:
        agent = agents.start()
        agent.go()
        imported = agent.expect(Ended).detail["imported"]
    assert not [name for name in imported if name.startswith(("sentry_sdk.integrations", "fastapi", "openai"))]


def test_a_zygote_exits_when_its_supervisor_is_gone() -> None:
    zygote = Zygote(config())
    zygote.start()
    Conversation(zygote).expect(ZygoteReady)
    zygote.stop()
    wait_until(lambda: not zygote.alive)


def test_a_zygote_that_is_killed_is_at_eof() -> None:
    zygote = Zygote(config())
    zygote.start()
    says = Conversation(zygote)
    says.expect(ZygoteReady)
    os.kill(zygote.pid or 0, 9)
    says.expect_eof()
    wait_until(lambda: not zygote.alive)
    zygote.stop()


def test_a_bot_in_a_package_of_another_directory_is_found(tmp_path: Path) -> None:
    package = tmp_path / "a directory with spaces" / "voice" / "inner"
    package.mkdir(parents=True)
    (package / "talker.py").write_text("async def bot(runner_args):\n    pass\n")
    with running_agents("zygote", config("voice.inner.talker", bot_dir=package.parent.parent)) as agents:
        agents.start().go()


def test_an_agent_says_what_was_warmed() -> None:
    with running_agents("zygote", config()) as agents:
        ready = agents.start_unready().expect(Ready)
        assert {"import_ms", "total_ms", "modules"} <= set(ready.warm)

"""Real Pipecat pipelines in agents. Pipecat is imported by the agents' processes only."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pools.agent.launcher import agent_environment
from pools.protocol import CallerJoined, Ended, FirstAudio, Joined
from tests.support.agents import PROJECT, config, running_agents
from tests.support.daily_sandbox import Sandbox, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


def private_dirty_bytes(pid: int | None) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Private_Dirty")


def test_the_default_bot_holds_a_call_until_the_caller_leaves_and_gives_up_a_room_that_it_cannot_join(
    sandbox: Sandbox,
) -> None:
    name = sandbox.create_room(privacy="private")["name"]
    bot, caller = sandbox.token(name, user_id="bot", is_owner=True), sandbox.token(name, user_id="ada")
    without_keys = replace(config("pools.agent.bots.default", bot_dir=PROJECT), env=agent_environment(os.environ, []))
    with running_agents("zygote", without_keys) as agents:
        assert agents.zygote_ready.threads == 1
        assert set(agents.zygote_ready.warm["models"]) == {"silero_vad", "smart_turn_v3"}
        agent = agents.start()
        assert private_dirty_bytes(agent.peer.pid) < 10 * 1024 * 1024
        agent.go({"configurations": {"first_message": "Hello {name}"}}, room_url=f"{sandbox.url}/{name}", token=bot)
        ada = sandbox.join(name, caller)
        agent.expect(CallerJoined)
        agent.expect(FirstAudio)
        sandbox.leave(name, ada)
        ended = agent.expect(Ended)
        assert (ended.reason, ended.outcome, ended.error) == ("caller_left", "completed", "")
        agent.wait_for_exit()

        # The same bot in a Daily room that cannot be reached, where its own transport would try for 19 s.
        agent = agents.start()
        agent.go(room_url="https://127.0.0.1:9/a-room", token=bot, join_timeout=0.5)
        assert agent.expect(Ended).reason == "join_timeout"


def test_an_unchanged_bot_with_its_own_transport_is_observed_from_outside() -> None:
    with running_agents("zygote", config("stranger")) as agents:
        agent = agents.start()
        agent.go(body={"anything": 1})
        agent.expect(Joined)
        agent.expect(CallerJoined)
        agent.expect(FirstAudio)
        assert agent.expect(Ended).reason == "caller_left"
        agent = agents.start()
        agent.go(body={"error": "Error joining https://example.daily.co/x: the meeting does not exist"})
        ended = agent.expect(Ended)
        assert (ended.reason, ended.no_room) == ("join_failed", True) and "does not exist" in ended.error
        agent = agents.start()
        network = "Error joining https://example.daily.co/x: RoomLookup(RoomInfoFetchFailed)"
        agent.go(body={"error": network, "again": True})
        agent.expect(Joined)

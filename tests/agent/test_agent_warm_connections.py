"""Connections to a provider, opened in the idle process: what the first requests of its session go over."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pools.agent.launcher import agent_environment
from pools.protocol import CallerJoined, Ended, FirstAudio
from tests.support.agents import PROJECT, Agent, Agents, config, running_agents
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.fake_openai import FakeOpenAI, running_openai
from tests.support.programs import process_state
from tests.support.tls_certificate import certificate_of
from tests.support.voice_calls import Call
from tests.support.waiting import wait_until

QUIET_LOOKS = 50  # one after the other: a thread that waits for another one sleeps for a moment too
SERVICES = 3  # speech to text, language model, voice: a connection each


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return certificate_of("localhost", tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def provider(certificate: str) -> Iterator[FakeOpenAI]:
    with running_openai("Yes.", ["Fine."], certificate) as openai:
        yield openai


@pytest.fixture(scope="module")
def agents(provider: FakeOpenAI, certificate: str) -> Iterator[Agents]:
    own = {"OPENAI_API_KEY": "sk-fake", "OPENAI_BASE_URL": provider.url, "SSL_CERT_FILE": certificate}
    with_key = replace(
        config("pools.agent.bots.default", bot_dir=PROJECT),
        env=agent_environment({**os.environ, **own}, ["OPENAI_API_KEY", "OPENAI_BASE_URL"]),
    )
    with running_agents("zygote", with_key) as agents:
        yield agents


def ports(provider: FakeOpenAI, path: str) -> set[int]:
    return {port for asked, port in list(provider.requests) if asked == path}


def unread(ports: set[int]) -> int:
    """Bytes that have arrived for our end of these connections and that nobody has taken yet."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in sockets if int(row[1].split(":")[1], 16) in ports)


def wait_until_warm(agent: Agent, provider: FakeOpenAI) -> None:
    """All answers have been sent and taken, and the process has nothing left to do with them: it sleeps."""
    wait_until(lambda: len(ports(provider, "models")) == SERVICES)
    pid, quiet = agent.peer.pid, 0
    assert pid

    def has_long_been_quiet() -> bool:
        nonlocal quiet
        asleep = process_state(pid) == psutil.STATUS_SLEEPING and not unread(ports(provider, "models"))
        quiet = quiet + 1 if asleep else 0
        return quiet == QUIET_LOOKS

    wait_until(has_long_been_quiet)


def greeted(call: Call, sandbox: Sandbox) -> None:
    """Somebody comes, hears the voice of the provider, and goes."""
    ada = sandbox.join(call.room, call.token)
    call.agent.expect(CallerJoined)
    call.agent.expect(FirstAudio)
    sandbox.leave(call.room, ada)
    assert call.agent.expect(Ended).reason == "caller_left"


def test_the_first_words_go_over_a_connection_that_was_open_before_the_session(
    agents: Agents, provider: FakeOpenAI, sandbox: Sandbox
) -> None:
    provider.requests.clear()
    agent = agents.start()
    wait_until_warm(agent, provider)
    greeted(Call(agents, sandbox, agent=agent), sandbox)
    assert ports(provider, "speech") <= ports(provider, "models") and ports(provider, "speech")


def test_a_template_that_chooses_another_voice_speaks_over_the_open_connection_too(
    agents: Agents, provider: FakeOpenAI, sandbox: Sandbox
) -> None:
    provider.requests.clear()
    provider.voices.clear()
    agent = agents.start()
    wait_until_warm(agent, provider)
    greeted(Call(agents, sandbox, {"configurations": {"voice": "coral"}}, agent=agent), sandbox)
    assert provider.voices == ["coral"]
    assert ports(provider, "speech") <= ports(provider, "models") and ports(provider, "speech")


def test_connections_that_the_provider_has_closed_meanwhile_are_replaced_without_a_word(
    agents: Agents, provider: FakeOpenAI, sandbox: Sandbox
) -> None:
    provider.requests.clear()
    agent = agents.start()
    wait_until_warm(agent, provider)
    provider.hang_up()
    greeted(Call(agents, sandbox, agent=agent), sandbox)
    assert ports(provider, "speech").isdisjoint(ports(provider, "models")) and ports(provider, "speech")


@pytest.mark.parametrize("trouble", ["raise ConnectionError('nobody there')", "await asyncio.sleep(3600)"])
def test_a_warm_up_that_fails_or_hangs_keeps_no_process_from_being_ready_or_from_its_session(
    trouble: str, tmp_path: Path
) -> None:
    (tmp_path / "troubled.py").write_text(TROUBLED.format(trouble=trouble))
    with running_agents("zygote", config("troubled", bot_dir=tmp_path)) as agents:
        agent = agents.start()
        wait_until((tmp_path / "tried").exists)
        agent.go()
        ended = agent.expect(Ended)
        assert (ended.reason, ended.error) == ("bot_ended", "")


TROUBLED = """
import asyncio, pathlib
tried = pathlib.Path(__file__).with_name("tried")
async def warm_up():
    tried.touch()
    {trouble}
async def bot(runner_args):
    assert tried.exists()
"""

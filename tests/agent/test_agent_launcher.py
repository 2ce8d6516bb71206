"""What a supervisor sees of its agents: messages, death, and nothing that blocks it. Under both start methods."""

import gc
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pools.agent.environment import find_env_file, names_for_bots, read_env_file, withheld_names
from pools.agent.launcher import AgentChannel, Zygote, ZygoteUnavailable, agent_environment
from pools.protocol import (
    AgentExited,
    Ended,
    Forked,
    Go,
    Ping,
    Pong,
    ProtocolError,
    Ready,
    Start,
    Started,
    Stop,
    ZygoteReady,
    encode_frame,
)
from tests.support.agents import (
    BOTS,
    PROJECT,
    PROVIDER_KEY,
    START_METHODS,
    TOKEN,
    Agents,
    Conversation,
    config,
    running_agents,
)
from tests.support.programs import is_running
from tests.support.waiting import wait_until


@pytest.fixture(scope="module", params=START_METHODS)
def agents(request: pytest.FixtureRequest) -> Iterator[Agents]:
    with running_agents(request.param, config()) as agents:
        yield agents


def test_a_session_goes_from_ready_to_ended_in_the_order_of_the_protocol(agents: Agents) -> None:
    agent = agents.start_unready()
    ready = agent.expect(Ready)
    assert (ready.version, ready.warm["modules"] > 100) == ("v7", True)
    start = agent.start({"do": "leave"})
    assert agent.send(Go(start.session, start.attempt))
    ended = agent.expect(Ended)
    assert (ended.session, ended.reason, ended.error) == (start.session, "bot_ended", "")
    agent.expect_eof()
    agents.wait_until(lambda: agent.peer.pid)
    agent.wait_for_exit()
    assert agent.peer.pid == ready.pid
    assert agents.wait_until(lambda: agent.peer.exit_status() is not None)
    assert agent.peer.exit_status() == 0


def test_an_idle_agent_answers_pings_with_their_numbers(agents: Agents) -> None:
    agent = agents.start()
    for number in (1, 2, 99):
        agent.send(Ping(number))
        assert agent.expect(Pong).number == number


def test_an_agent_in_a_call_answers_pings(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "stay"})
    agent.send(Ping(5))
    assert agent.expect(Pong).number == 5


def test_an_agent_whose_bot_blocks_the_event_loop_does_not_answer(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "block"})

    def is_silent() -> bool:
        agent.send(Ping(5))
        try:
            agent.expect(Pong, deadline=0.5)  # the first may be answered: it can overtake the call of the bot
        except AssertionError:
            return True
        return False

    wait_until(is_silent)
    agent.peer.kill()
    agent.expect_eof()


def test_an_idle_agent_exits_when_its_supervisor_is_gone(agents: Agents) -> None:
    agent = agents.start()
    with socket.socket(fileno=os.dup(agent.peer.fileno())) as connection:
        connection.shutdown(socket.SHUT_RDWR)
    agent.wait_for_exit()


def test_an_idle_agent_exits_on_stop(agents: Agents) -> None:
    agent = agents.start()
    agent.send(Stop("drain"))
    agent.expect_eof()
    agent.wait_for_exit()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_service_leaves_agents_to_their_supervisor(agents: Agents, number: int) -> None:
    agent = agents.start()
    os.kill(agent.peer.pid or 0, number)
    agent.send(Ping(1))
    agent.expect(Pong)


def test_a_killed_agent_is_at_eof_and_then_known_to_be_dead(agents: Agents) -> None:
    agent = agents.start()
    assert not agent.peer.exited
    assert agent.peer.exit_status() is None
    agent.peer.kill()
    agent.expect_eof()
    agent.wait_for_exit()
    assert agents.wait_until(lambda: agent.peer.exit_status()) == -signal.SIGKILL
    agent.peer.kill()  # nobody: its pid may be somebody else's by now


@pytest.mark.parametrize("stay", [True, False])
@pytest.mark.parametrize("method", START_METHODS)
def test_what_counts_is_the_exit_of_the_process_whatever_its_bot_has_started(
    tmp_path: Path, method: str, stay: bool
) -> None:
    file = tmp_path / "started"
    with running_agents(method, config("leaves_children")) as agents:
        agent = agents.start()
        agent.go({"file": str(file), "stay": stay})
        wait_until(file.exists)
        child, _ = json.loads(file.read_text())
        if stay:
            agent.peer.kill()
        else:
            assert agent.expect(Ended).reason == "bot_ended"
        agent.expect_eof()
        agents.wait_until(lambda: agent.peer.exited)
        agents.wait_until(lambda: agent.peer.exit_status() is not None)
        assert agent.peer.exit_status() == (-signal.SIGKILL if stay else 0)
        wait_until(lambda: not is_running(child))


def test_a_bot_that_crashes_is_an_eof_without_a_report(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "crash"})
    agent.expect_eof()
    agent.wait_for_exit()
    assert agents.wait_until(lambda: agent.peer.exit_status()) == -signal.SIGABRT


def test_sending_to_a_dead_agent_is_refused_and_harmless(agents: Agents) -> None:
    agent = agents.start()
    agent.peer.kill()
    agent.wait_for_exit()
    assert not agent.send(Ping(1))
    agent.peer.receive()
    assert agent.peer.eof


def test_the_last_words_of_an_agent_are_heard_although_it_could_not_be_written_to(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "stay"}, session_limit=0.05)
    agent.wait_for_exit()
    assert not agent.send(Ping(1))
    assert agent.expect(Ended).reason == "session_limit"


def test_sending_to_an_agent_that_does_not_read_never_blocks(agents: Agents) -> None:
    agent = agents.start()
    agent.peer.kill(signal.SIGSTOP)
    begun = time.monotonic()
    large = Start("s", 1, "https://r", "t", {"x": "y" * 500_000}, 60.0)
    while agent.send(large):
        assert time.monotonic() - begun < 10
    assert agent.peer.unsent
    assert not agent.send(Ping(1))


def test_a_message_larger_than_the_socket_arrives_whole(agents: Agents) -> None:
    agent = agents.start()
    start = Start("s", 1, "https://r", TOKEN, {"do": "leave", "x": "y" * 2_000_000}, 60.0)
    assert agent.send(start)
    wait_until(lambda: agent.peer.flush())
    agent.expect(Started)


def test_no_secret_is_in_the_arguments_or_the_environment_of_an_agent(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "stay"})
    command = Path(f"/proc/{agent.peer.pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{agent.peer.pid}/environ").read_bytes()
    assert b"pools.agent" in command
    for secret in (TOKEN, PROVIDER_KEY):
        assert secret.encode() not in command
    assert TOKEN.encode() not in environment
    assert not re.search(rb"DATABASE_URL|DAILY_API_KEY|SECRET_KEY|postgres://", environment)
    assert PROVIDER_KEY.encode() in environment  # the bot's own


def test_an_agent_has_a_session_of_its_own_and_no_descriptor_of_another(agents: Agents) -> None:
    others = [agents.start() for _ in range(5)]
    agent = agents.start()
    assert os.getsid(agent.peer.pid or 0) == agent.peer.pid
    targets = [os.readlink(entry) for entry in Path(f"/proc/{agent.peer.pid}/fd").iterdir()]
    assert len([target for target in targets if target.startswith("socket:")]) == 3  # control, and the loop's own pair
    assert not [target for target in targets if "pidfd" in target]
    for other in others:
        other.send(Stop("done"))
        other.expect_eof()


def test_two_hundred_agents_are_made_and_ended_without_leaking_a_descriptor() -> None:
    with running_agents("zygote", config()) as agents:
        gc.collect()  # what earlier tests have left behind is not to go meanwhile
        before = len(os.listdir("/proc/self/fd"))
        channels = [agents.zygote.fork(f"agent-{number}") for number in range(200)]
        for channel in channels:
            Conversation(channel).expect(Ready, deadline=60)
        for channel in channels:
            channel.send(Stop("done"))
            agents.wait_until(partial(getattr, channel, "exited"), deadline=60)
            channel.close()
        assert len(os.listdir("/proc/self/fd")) == before


def test_agents_outlive_their_zygote_and_finish_their_calls() -> None:
    with running_agents("zygote", config()) as agents:
        idle, calling = agents.start(), agents.start()
        start = calling.go({"do": "stay"})
        agents.zygote.kill()
        wait_until(lambda: not agents.zygote.alive)
        idle.send(Ping(1))
        idle.expect(Pong)
        calling.send(Ping(2))
        calling.expect(Pong)
        calling.send(Stop("enough"))
        assert calling.expect(Ended).session == start.session
        calling.wait_for_exit()
        with pytest.raises(ZygoteUnavailable):
            agents.zygote.fork("another")


def test_a_kill_that_comes_before_the_agent_is_known_is_carried_out_when_it_is() -> None:
    with running_agents("zygote", config()) as agents:
        channel = agents.zygote.fork("early")
        channel.kill()
        assert channel.pid is None
        agents.zygote_says.expect(Forked)
        assert agents.zygote_says.expect(AgentExited).status == -signal.SIGKILL
        assert channel.exited


def test_forks_that_are_asked_for_while_the_zygote_warms_up_are_made_when_it_is_ready() -> None:
    zygote = Zygote(config())
    zygote.start()
    channel = zygote.fork("early")
    Conversation(channel).expect(Ready)
    says = Conversation(zygote)
    assert says.expect(ZygoteReady).threads == 1
    assert says.expect(Forked).agent == "early"
    zygote.stop()
    wait_until(lambda: not zygote.alive)
    channel.close()


def test_an_agent_that_does_not_keep_to_the_protocol_is_an_error_of_this_agent_only() -> None:
    channel, theirs = AgentChannel.pair("liar")
    theirs.sendall(b"\x00\x00\x00\x05READY")
    with pytest.raises(ProtocolError):
        channel.receive()
    theirs.close()
    channel.close()


def test_a_flood_of_messages_is_taken_in_pieces_so_that_others_get_their_turn() -> None:
    channel, theirs = AgentChannel.pair("flooder")
    theirs.setblocking(False)
    frame = encode_frame(Pong(7))
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += theirs.send(frame * 100)
    received = 0
    while received < sent // len(frame):
        messages = channel.receive()
        assert 0 < len(messages) <= 256 * 1024 // len(frame) + 1
        received += len(messages)
    theirs.close()
    channel.close()


@pytest.mark.parametrize(
    "name",
    ["DATABASE_URL", "DAILY_API_KEY", "SECRET_KEY", "DJANGO_SECRET_KEY", "JWT_SECRET", "PGPASSWORD", "X_SIGNING_KEY"],
)
def test_a_secret_of_the_service_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        agent_environment({name: "x"}, ["OPENAI_API_KEY", name])


def test_what_is_named_is_added_to_the_providers_keys_and_what_is_struck_out_is_taken_away() -> None:
    changes = ["CRM_URL", "!OPENAI_API_KEY", "!HTTP_PROXY"]
    environ = dict.fromkeys(
        ["CRM_URL", "OPENAI_API_KEY", "DEEPGRAM_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "OTHER"], "x"
    )
    environment = agent_environment(environ, names_for_bots(changes), withheld_names(changes))
    assert environment.keys() & environ.keys() == {"CRM_URL", "DEEPGRAM_API_KEY", "HTTPS_PROXY"}


def test_of_a_bots_own_env_file_all_is_taken_but_our_secrets_and_what_was_taken_away(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "DAILY_API_KEY=daily\nDATABASE_URL=postgres://secret\nCRM_URL=https://crm\nSTAGE=test\n"
        "GREETING='Hello ${STAGE} of ${DATABASE_URL}'\nOPENAI_API_KEY=of-the-file\nPATH=/own\n"
    )
    found = read_env_file(tmp_path / ".env", {"PATH": "/bin", "STAGE": "live"}, {"OPENAI_API_KEY"})
    assert found.values == {"CRM_URL": "https://crm", "GREETING": "Hello live of "}
    assert found.left_out == ["DAILY_API_KEY", "DATABASE_URL", "OPENAI_API_KEY"]
    assert "https://crm" not in repr(found)


def test_a_bots_env_file_is_the_nearest_one_and_never_the_services_own(tmp_path: Path) -> None:
    bots = tmp_path / "project" / "bots"
    (bots / "voice").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "project"):
        (folder / ".env").touch()
    assert find_env_file("voice.sales", bots, PROJECT) is None
    assert find_env_file("bots.voice.sales", tmp_path / "project", tmp_path / "project") is None
    (bots / ".env").touch()
    assert find_env_file("voice.sales", bots, PROJECT) == find_env_file("bot", bots, PROJECT) == bots / ".env"
    assert find_env_file("bots.voice.sales", tmp_path / "project", tmp_path / "project") == bots / ".env"
    (bots / "voice" / ".env").touch()
    assert find_env_file("voice.sales", bots, PROJECT) == bots / "voice" / ".env"


def test_an_agents_environment_holds_what_is_listed_and_what_forking_needs() -> None:
    environ = {"PATH": "/bin", "OPENAI_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "a", "DATABASE_URL": "d", "OTHER": "o"}
    environment = agent_environment(environ, ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "UNSET"])
    assert environment == {
        "PATH": "/bin",
        "OPENAI_API_KEY": "k",
        "AWS_SECRET_ACCESS_KEY": "a",
        "LOGURU_LEVEL": "INFO",
        "ORT_DISABLE_TELEMETRY": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHON_DOTENV_DISABLED": "1",
        "PYTHONUNBUFFERED": "1",
    }
    assert str(BOTS) not in repr(environment)

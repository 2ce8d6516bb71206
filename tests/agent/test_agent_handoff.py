"""From Start to Go: what keeps a late or confused supervisor from putting a second bot into a room."""

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from pools.protocol import Ended, Go, Ping, Pong, Start, Stop
from tests.support.agents import Agents, config, running_agents
from tests.support.waiting import wait_until

GO_SECONDS = 4.0  # the protocol's, and part of what it promises


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    with running_agents("zygote", config()) as agents:
        yield agents


def test_a_process_that_gets_no_go_exits_without_calling_the_bot(agents: Agents) -> None:
    agent = agents.start()
    agent.start({"do": "leave"})
    agent.expect_eof()
    agent.wait_for_exit()


def test_a_go_that_comes_after_a_pause_is_not_obeyed_even_if_it_was_sent_in_time(agents: Agents) -> None:
    agent = agents.start()
    start = agent.start({"do": "leave"})
    agent.peer.kill(signal.SIGSTOP)
    wait_until(lambda: state_of(agent.peer.pid) == "T")
    agent.send(Go(start.session, start.attempt))
    too_late = time.monotonic() + GO_SECONDS * 1.2
    wait_until(lambda: time.monotonic() > too_late)
    agent.peer.kill(signal.SIGCONT)
    agent.expect_eof()


def test_a_go_for_another_attempt_is_not_obeyed(agents: Agents) -> None:
    agent = agents.start()
    start = agent.start({"do": "leave"}, attempt=2)
    agent.send(Go(start.session, 1))
    agent.send(Go("another-session", 2))
    agent.expect_eof()


def test_a_go_for_another_attempt_does_not_spoil_the_right_one(agents: Agents) -> None:
    agent = agents.start()
    start = agent.start({"do": "leave"}, attempt=2)
    agent.send(Go(start.session, 1))
    agent.send(Go(start.session, 2))
    agent.expect(Ended)


def test_eof_before_go_ends_the_process_at_once(agents: Agents) -> None:
    agent = agents.start()
    agent.start({"do": "stay"})
    with socket.socket(fileno=os.dup(agent.peer.fileno())) as connection:
        connection.shutdown(socket.SHUT_RDWR)
    agent.wait_for_exit(deadline=GO_SECONDS / 2 + 1)


def test_stop_before_go_ends_the_process(agents: Agents) -> None:
    agent = agents.start()
    agent.start({"do": "stay"})
    agent.send(Stop("no longer wanted"))
    agent.expect_eof()


def test_pings_are_answered_between_start_and_go(agents: Agents) -> None:
    agent = agents.start()
    start = agent.start({"do": "leave"})
    agent.send(Ping(3))
    agent.expect(Pong)
    agent.send(Go(start.session, start.attempt))
    agent.expect(Ended)


def test_a_process_hosts_one_session_and_no_second_one(agents: Agents) -> None:
    agent = agents.start()
    start = agent.start({"do": "stay"})
    agent.send(Start(start.session, 2, start.room_url, start.token, start.body, 60.0))
    agent.expect_eof()


@pytest.mark.parametrize("message", [Go("s", 1), Pong(1)])
def test_a_message_out_of_turn_ends_an_idle_process(agents: Agents, message: Go | Pong) -> None:
    agent = agents.start()
    agent.send(message)
    agent.expect_eof()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"\0\0\0\2{}", b"\0\0\0\0"])
def test_garbage_ends_an_idle_process(agents: Agents, garbage: bytes) -> None:
    agent = agents.start()
    os.write(agent.peer.fileno(), garbage)
    agent.expect_eof()
    agent.wait_for_exit()


def state_of(pid: int | None) -> str:
    """One letter, as in proc(5)."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(") ")[2][0]

"""How sessions end, and what is left of them. Bots here are plain coroutines in rooms that the shell cannot see."""

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pools.agent.spool import discard, spooled_reports
from pools.protocol import Ended, Ping, Pong, Stop
from tests.support.agents import BOTS, START_METHODS, TOKEN, Agent, Agents, config, running_agents
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool") / "reports"


@pytest.fixture(scope="module")
def agents(spool: Path) -> Iterator[Agents]:
    with running_agents("zygote", config(spool_dir=spool)) as agents:
        yield agents


def ended(agents: Agents, body: dict[str, Any], **values: Any) -> Ended:
    agent = agents.start()
    agent.go(body, **values)
    end = agent.expect(Ended)
    agent.expect_eof()
    agent.wait_for_exit()
    return end


def hang_up(agent: Agent) -> None:
    """The supervisor dies."""
    with socket.socket(fileno=os.dup(agent.peer.fileno())) as connection:
        connection.shutdown(socket.SHUT_RDWR)


# --- what is left to be done -------------------------------------------------------------------------------

WORK = {"thread", "daemon", "executor", "task", "atexit", "span"}


@pytest.mark.parametrize("method", START_METHODS)
def test_what_a_bot_leaves_to_be_done_is_done_after_the_report(tmp_path: Path, method: str) -> None:
    with running_agents(method, config("leaves_work")) as agents:
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            agent = agents.start()
            agent.go({"folder": str(folder)}, afterwork=60.0)
            assert agent.expect(Ended).reason == "bot_ended"
            assert not (folder / "atexit").exists()
            agent.wait_for_exit()
            assert {path.name for path in folder.iterdir()} == WORK | {"shared"}
            # What the bot has made while it was imported is the zygote's, for all sessions.
            assert Path((folder / "shared").read_text()).exists() == (method == "zygote")


def test_work_that_is_never_done_ends_with_its_time(tmp_path: Path) -> None:
    with running_agents("zygote", config("leaves_work")) as agents:
        agent = agents.start()
        agent.go({"folder": str(tmp_path), "endless": True}, afterwork=0.5)
        agent.expect(Ended)
        agent.send(Ping(1))
        agent.expect(Pong)
        agent.wait_for_exit()
        assert agents.wait_until(lambda: agent.peer.exit_status() is not None)


def test_a_bot_gets_no_time_for_work_where_none_is_given(tmp_path: Path) -> None:
    with running_agents("zygote", config("leaves_work")) as agents:
        agent = agents.start()
        agent.go({"folder": str(tmp_path), "endless": True})
        agent.expect(Ended)
        agent.wait_for_exit()
        assert not (tmp_path / "atexit").exists()


# --- ends ---------------------------------------------------------------------------------------------------


def test_a_bot_that_returns_has_ended(agents: Agents) -> None:
    assert ended(agents, {"do": "leave"}).reason == "bot_ended"


def test_a_bot_that_raises_is_an_error_that_tells_no_secret(agents: Agents) -> None:
    end = ended(agents, {"do": "fail"})
    assert end.reason == "bot_error"
    assert end.error.startswith(
        "RuntimeError: cannot reach https://example.daily.co/a-room with [redacted] for [redacted]"
    )


def test_of_a_body_that_the_bot_refuses_the_error_says_which_fields_and_nothing_of_the_customer(agents: Agents) -> None:
    end = ended(agents, {"do": "wants_another_body", "name": "Ada", "dialout_settings": {"phone_number": 7}})
    assert end.error == (
        "ValidationError: AgentRequest: room_url: Field required; token: Field required; "
        "dialout_settings.phone_number: Input should be a valid string"
    )


def test_a_bot_that_exits_the_program_is_an_error(agents: Agents) -> None:
    end = ended(agents, {"do": "exit_program"})
    assert (end.reason, end.error) == ("bot_error", "SystemExit: 3")


def test_a_task_of_the_bot_that_exits_the_program_is_an_error(agents: Agents) -> None:
    end = ended(agents, {"do": "exit_in_a_task"})
    assert (end.reason, end.error) == ("bot_error", "SystemExit: 3")


@pytest.mark.parametrize("do", ["exit_well", "exit_well_in_a_task"])
def test_a_bot_that_exits_the_program_without_a_code_has_ended(agents: Agents, do: str) -> None:
    end = ended(agents, {"do": do})
    assert (end.reason, end.error) == ("bot_ended", "")


def test_a_bot_that_stops_the_event_loop_stops_it_for_one_turn(agents: Agents) -> None:
    assert ended(agents, {"do": "stop_the_loop"}).reason == "bot_ended"


def test_a_bot_that_is_no_use_is_an_error(agents: Agents) -> None:
    assert ended(agents, {}).error.startswith("KeyError")


def test_a_session_lasts_as_long_as_its_limit(agents: Agents) -> None:
    assert ended(agents, {"do": "stay"}, session_limit=0.2).reason == "session_limit"


def test_stop_cancels_the_bot_and_gives_the_reason_back(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "clean_up"})
    agent.send(Stop("aborted"))
    assert agent.expect(Ended).reason == "aborted"


def test_a_bot_that_refuses_to_be_cancelled_is_gone_at_the_deadline_all_the_same(agents: Agents) -> None:
    agent = agents.start()
    agent.go({"do": "refuse_to_go"})
    begun = time.monotonic()
    agent.send(Stop("drain", deadline=1.0))
    assert agent.expect(Ended).reason == "drain"
    agent.wait_for_exit()
    assert 0.4 < time.monotonic() - begun < 10


def test_a_room_that_the_shell_cannot_see_has_no_join_deadline(agents: Agents) -> None:
    body = {"do": "stay_for", "seconds": 0.5}
    assert ended(agents, body, join_timeout=0.05, caller_timeout=0.05, idle_timeout=0.05).reason == "bot_ended"


# --- what a bot gets and gives ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curious() -> Iterator[list[Ended]]:
    with running_agents("zygote", config("curious")) as agents:
        yield [ended(agents, {"payload": {"name": "Ada"}}, session=f"session-{number}") for number in range(2)]


def test_a_bot_is_called_with_the_arguments_of_its_session(curious: list[Ended]) -> None:
    seen = curious[1].detail
    assert seen["room_url"] == "https://example.daily.co/a-room"
    assert seen["token"] == TOKEN
    assert seen["body"] == {"payload": {"name": "Ada"}}
    assert seen["session_id"] == "session-1"
    assert seen["handle_sigint"] is False
    assert seen["arguments"] == "PlainArguments"  # it has not imported Pipecat


def test_a_bot_lives_in_its_own_directory(curious: list[Ended]) -> None:
    assert curious[0].detail["directory"] == curious[0].detail["path"] == str(BOTS)
    assert curious[0].detail["argv"] == ["curious"]


def test_what_an_import_has_read_of_the_services_secrets_is_forgotten(curious: list[Ended]) -> None:
    seen = curious[0].detail["environment"]
    assert "HARMLESS" in seen
    assert "OPENAI_API_KEY" in seen
    assert not {"DATABASE_URL", "DAILY_API_KEY", "SECRET_KEY"} & set(seen)


def test_sessions_share_neither_environment_nor_randomness_nor_descriptors(curious: list[Ended]) -> None:
    first, second = (end.detail for end in curious)
    assert "SEEN" not in second["environment"]
    assert first["random"] != second["random"]
    assert second["leader"]
    assert len([target for target in second["descriptors"] if target.startswith("socket:")]) == 3


def test_a_report_is_made_fit_to_be_stored(curious: list[Ended]) -> None:
    assert curious[0].outcome == "looked"
    assert curious[0].transcript == [{"role": "assistant", "content": "hm?"}]


# --- when the supervisor has gone ---------------------------------------------------------------------------


def test_an_orphan_finishes_its_call_and_leaves_its_report(agents: Agents, spool: Path) -> None:
    agent = agents.start()
    start = agent.go({"do": "stay_for", "seconds": 0.3}, attempt=2)
    [running] = wait_until(lambda: [r for r in spooled_reports(spool) if r.session == start.session])
    assert (running.running, running.ended, running.attempt) == (True, None, 2)
    hang_up(agent)
    agent.wait_for_exit()
    [finished] = [r for r in spooled_reports(spool) if r.session == start.session]
    assert not finished.running
    assert finished.ended == Ended(start.session, "bot_ended")
    discard(spool, start.session, 2)
    assert not finished.path.exists()


def test_an_orphan_ends_at_the_session_limit(agents: Agents, spool: Path) -> None:
    agent = agents.start()
    start = agent.go({"do": "stay"}, session_limit=0.5)
    hang_up(agent)
    agent.wait_for_exit()
    [finished] = [r for r in spooled_reports(spool) if r.session == start.session]
    assert finished.ended == Ended(start.session, "session_limit")


def test_a_report_is_in_the_spool_even_if_it_was_also_sent(agents: Agents, spool: Path) -> None:
    end = ended(agents, {"do": "leave"})
    assert [r.ended for r in spooled_reports(spool) if r.session == end.session] == [end]


def test_an_agent_that_was_killed_in_a_call_leaves_an_empty_unlocked_file(agents: Agents, spool: Path) -> None:
    agent = agents.start()
    start = agent.go({"do": "stay"})
    wait_until(lambda: [r for r in spooled_reports(spool) if r.session == start.session])
    agent.peer.kill()
    agent.wait_for_exit()
    [left] = [r for r in spooled_reports(spool) if r.session == start.session]
    assert (left.running, left.ended) == (False, None)


def test_the_spool_is_private(agents: Agents, spool: Path) -> None:
    end = ended(agents, {"do": "leave"})
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert stat.S_IMODE((spool / f"{end.session}.1.json").stat().st_mode) == 0o600


def test_a_spool_that_cannot_be_written_costs_the_report_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with running_agents("zygote", config(spool_dir=tmp_path / "file" / "spool")) as agents:
        assert ended(agents, {"do": "leave"}).reason == "bot_ended"


def test_a_session_whose_name_is_a_path_writes_no_file(agents: Agents, spool: Path) -> None:
    before = set(spool.iterdir())
    assert ended(agents, {"do": "leave"}, session="../../escaped").reason == "bot_ended"
    assert set(spool.iterdir()) == before
    assert not (spool.parent.parent / "escaped.1.json").exists()


def test_what_is_not_ours_in_the_spool_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    (tmp_path / "a.1.json").write_text("{half")
    (tmp_path / "b.1.json").write_text(json.dumps({"v": 1, "type": "ping", "number": 1}))
    assert [(r.session, r.ended) for r in spooled_reports(tmp_path)] == [("a", None), ("b", None)]
    assert list(spooled_reports(tmp_path / "missing")) == []
    discard(tmp_path, "../README", 1)
    assert (tmp_path / "README").exists()


def test_our_own_modules_do_not_hide_a_bots(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("NAME = 'of the bot'\n")
    (tmp_path / "talker.py").write_text(
        "import settings\nfrom pools.agent import report\n\n\n"
        "async def bot(runner_args):\n    report(outcome=settings.NAME)\n"
    )
    with running_agents("spawn", config("talker", bot_dir=tmp_path)) as agents:
        assert ended(agents, {}).outcome == "of the bot"

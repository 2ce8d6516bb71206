"""What agents write ends up in the pod's standard error: prefixed, without secrets, and never at the call's expense."""

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pools.agent.launcher import Zygote
from pools.agent.logs import BURST_LINES, MAX_LINE
from pools.logs.redaction import Redactor
from pools.protocol import Ended
from tests.support.agents import PROVIDER_KEY, START_METHODS, TOKEN, Agents, Conversation, config, standard_error
from tests.support.waiting import wait_until


@contextmanager
def agents_writing_to(descriptor: int, method: str = "zygote", bot: str = "scripted") -> Iterator[Agents]:
    with standard_error(descriptor):
        agents = Agents(method, config(bot))
    try:
        yield agents
    finally:
        agents.close()


def run(agents: Agents, body: dict[str, Any]) -> tuple[str, str]:
    """A whole session; returns the prefix its lines should have, and its id."""
    agent = agents.start()
    start = agent.go(body)
    agent.expect(Ended)
    agent.wait_for_exit()
    return f"agent={agent.peer.uuid[:8]} pid={agent.peer.pid} session={start.session} ", start.session


def to_file(tmp_path: Path, body: dict[str, Any]) -> tuple[str, list[str]]:
    with (tmp_path / "stderr").open("wb") as file, agents_writing_to(file.fileno()) as agents:
        prefix, session = run(agents, body)
    lines = (tmp_path / "stderr").read_text().splitlines()
    return prefix, [line for line in lines if session in line]


def test_every_line_says_which_agent_process_and_session_wrote_it(tmp_path: Path) -> None:
    prefix, lines = to_file(tmp_path, {"do": "say", "words": "one\ntwo\n\nthree"})
    assert lines[:3] == [prefix + "one", prefix + "two", prefix + "three"]
    assert "ended reason=bot_ended" in lines[3]


def test_tokens_and_keys_are_masked_whoever_writes_them(tmp_path: Path) -> None:
    prefix, lines = to_file(tmp_path, {"do": "say_token"})
    text = "\n".join(lines)
    assert prefix + "to stdout [redacted]" in lines
    assert prefix + "native [redacted]" in lines
    assert prefix + "from a child [redacted]" in lines
    assert TOKEN not in text
    assert PROVIDER_KEY not in text


def test_an_exception_of_the_bot_is_logged_without_its_secrets(tmp_path: Path) -> None:
    _, lines = to_file(tmp_path, {"do": "fail"})
    text = "\n".join(lines)
    assert "Traceback" in text
    assert "RuntimeError: cannot reach https://example.daily.co/a-room with [redacted] for [redacted]" in text
    assert TOKEN not in text


def test_a_flood_of_lines_is_cut_and_counted(tmp_path: Path) -> None:
    written = BURST_LINES * 4
    _, lines = to_file(tmp_path, {"do": "say", "words": "flood", "times": written})
    passed = sum(line.endswith(" flood") for line in lines)
    dropped = sum(int(number) for line in lines for number in re.findall(r"log lines dropped=(\d+)", line))
    assert BURST_LINES <= passed < written
    assert passed + dropped == pytest.approx(written, abs=2)  # our own last line may be among the dropped


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    prefix, lines = to_file(tmp_path, {"do": "say", "words": "x" * 1_000_000})
    assert lines[0].startswith(prefix + "xxx")
    assert lines[0].endswith("x [cut]")
    assert len(lines[0]) + 1 == MAX_LINE
    assert "ended reason=bot_ended" in lines[1]


@pytest.mark.parametrize("method", START_METHODS)
def test_what_a_bot_prints_before_its_session_is_masked_and_says_who_wrote_it(tmp_path: Path, method: str) -> None:
    log = tmp_path / "stderr"
    with log.open("wb") as file, agents_writing_to(file.fileno(), method, "prints_at_import") as agents:
        with standard_error(file.fileno()):
            agent = agents.start()
        wait_until(lambda: "warming up" in log.read_text())
        agent.go()
        agent.expect(Ended)
        agents.wait_until(lambda: agent.peer.exit_status() == 0)
        agents.start()  # SIGCHLD, ignored at the import, has not kept the zygote from burying the first
    prefix = (
        f"zygote={agents.zygote.pid} " if method == "zygote" else f"agent={agent.peer.uuid[:8]} pid={agent.peer.pid} "
    )
    text = log.read_text()
    for words in ("from print", "to stderr", r"native \x1b]0;title\x07", "warming up"):
        assert f"{prefix}{words} [redacted]\n" in text
    assert PROVIDER_KEY not in text


def test_what_a_bot_says_as_it_crashes_while_it_is_imported_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "aborts.py").write_text("import os\nos.write(2, b'no such instruction')\nos.abort()\n")
    log = tmp_path / "stderr"
    with log.open("wb") as file, standard_error(file.fileno()):
        zygote = Zygote(config("aborts", bot_dir=tmp_path))
        zygote.start()
    Conversation(zygote).expect_eof()
    wait_until(lambda: f"zygote={zygote.pid} no such instruction\n" in log.read_text())
    wait_until(lambda: not zygote.alive)
    zygote.stop()


@pytest.mark.parametrize(("form", "words"), [("text", " INFO pools.agent.zygote zygote ready "), ("json", None)])
def test_a_zygotes_own_lines_have_the_form_and_the_logger_of_ours(tmp_path: Path, form: str, words: str | None) -> None:
    settled = config()
    settled = replace(settled, env={**settled.env, "LOG_FORMAT": form})
    log = tmp_path / "stderr"
    with log.open("wb") as file, standard_error(file.fileno()):
        agents = Agents("zygote", settled)
    agents.close()
    wait_until(lambda: "zygote ready" in log.read_text())
    (line,) = (line for line in log.read_text().splitlines() if "zygote ready" in line)
    if words:
        assert words in line
    else:
        entry = json.loads(line)
        assert (entry["logger"], entry["level"], entry["zygote"]) == (
            "pools.agent.zygote",
            "INFO",
            agents.zygote.pid,
        )


def unread_pipe() -> tuple[int, Callable[[], None]]:
    read_end, write_end = os.pipe()
    return write_end, lambda: os.close(read_end)


def unread_socket() -> tuple[int, Callable[[], None]]:
    ours, theirs = socket.socketpair()
    return theirs.detach(), ours.close


def broken_pipe() -> tuple[int, Callable[[], None]]:
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end, lambda: None


@pytest.mark.parametrize("make", [unread_pipe, unread_socket, broken_pipe])
def test_a_call_goes_on_whether_or_not_anybody_reads_the_logs(
    make: Callable[[], tuple[int, Callable[[], None]]],
) -> None:
    descriptor, close = make()
    with agents_writing_to(descriptor) as agents:
        flags = os.get_blocking(descriptor)
        run(agents, {"do": "say", "words": "y" * 3000, "times": 500})  # 1.5 MB
        assert os.get_blocking(descriptor) == flags  # the other processes of the pod share this flag
        run(agents, {"do": "leave"})
    os.close(descriptor)
    close()


def test_lines_of_several_agents_do_not_mix_in_one_pipe() -> None:
    read_end, write_end = os.pipe()
    chunks: list[bytes] = []

    def read() -> None:
        while data := os.read(read_end, 65536):
            chunks.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with agents_writing_to(write_end) as agents:
        running = [agents.start() for _ in range(4)]
        for number, agent in enumerate(running):
            agent.go({"do": "say", "words": str(number) * 3500, "times": 50})
        for agent in running:
            agent.expect(Ended)
    os.close(write_end)
    reader.join()
    os.close(read_end)
    lines = [line for line in b"".join(chunks).decode().splitlines() if "session=" in line and "reason=" not in line]
    assert len(lines) > 10
    for line in lines:
        assert re.fullmatch(r"agent=\w{8} pid=\d+ session=\S+ ((\d)\2{3499}|log lines dropped=\d+ .*)", line), line[
            :200
        ]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token=eyJhbGciOiJIUzI1NiJ9.eyJyIjoiYSJ9.c2ln rest", "token=[redacted] rest"),
        ("cut off: eyJhbGciOiJIUzI1NiJ9.eyJyIj", "cut off: [redacted]"),
        ("key my-own-secret!", "key [redacted]!"),
        ("added later-secret.", "added [redacted]."),
        ("dialling +919876543210 now", "dialling [redacted] now"),
        ("at 12:00:00+05:30 we had 1+12345678 and eyJ", "at 12:00:00+05:30 we had 1+12345678 and eyJ"),
        ("ünïcödé \ud800 stays", "ünïcödé"),
    ],
)
def test_redaction(text: str, masked: str) -> None:
    redactor = Redactor(["my-own-secret", "short", ""])
    redactor.add("later-secret")
    assert redactor.text(text).startswith(masked)

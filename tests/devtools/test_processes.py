"""Running programs under one foreground process: the order of the end, and that nothing is left."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from devtools.log_follower import LogFollower, tail
from devtools.processes import Foreground, ProgramEnded, StopRequested, children
from tests.support.process_tree import descendants, is_alive
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
SAYS_WHEN_IT_STOPS = 'trap "echo $0 >> stopped; exit 0" TERM; echo up; while :; do sleep 0.01; done'
STUBBORN = 'trap "" TERM INT; echo up; while :; do sleep 0.01; done'
HOLDS_PROGRAMS = f"""
import os, sys
from pathlib import Path
from devtools.processes import Foreground, StopRequested
here = Path(sys.argv[1])
with Foreground(here, here) as foreground:
    for name in sys.argv[2:]:
        foreground.start(name, ["/bin/sh", "-c", {STUBBORN!r} if name == "stubborn" else {SAYS_WHEN_IT_STOPS!r}, name],
                         os.environ, patience=600)
    print("started", flush=True)
    try:
        while True:
            foreground.wait(10)
    except StopRequested:
        print("stopping", flush=True)
"""


def is_up(foreground: Foreground) -> bool:
    return all("up" in tail(program.log) for program in foreground.programs)


def start_shell(foreground: Foreground, name: str, script: str, patience: float = 30) -> None:
    foreground.start(name, ["/bin/sh", "-c", script, name], os.environ, patience=patience)


def holder(directory: Path, *names: str) -> "subprocess.Popen[str]":
    """A process with programs under it, started."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_PROGRAMS, str(directory), *names], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    wait_until(lambda: all("up" in tail(directory / f"{name}.log") for name in names))
    return process


def ends_after_signal(process: "subprocess.Popen[str]") -> bool:
    process.send_signal(signal.SIGINT)
    return process.poll() is not None


def test_programs_end_in_reverse_order(tmp_path: Path) -> None:
    with Foreground(tmp_path, tmp_path) as foreground:
        start_shell(foreground, "first", SAYS_WHEN_IT_STOPS)
        start_shell(foreground, "second", SAYS_WHEN_IT_STOPS)
        wait_until(lambda: is_up(foreground))
    assert (tmp_path / "stopped").read_text() == "second\nfirst\n"


def test_end_of_a_program_is_told_with_its_status(tmp_path: Path) -> None:
    with Foreground(tmp_path, tmp_path) as foreground:
        start_shell(foreground, "steady", SAYS_WHEN_IT_STOPS)
        start_shell(foreground, "failing", "echo sorry; exit 3")
        with pytest.raises(ProgramEnded, match="failing ended with exit status 3") as raised:
            foreground.wait(10)
        assert tail(raised.value.log) == ["sorry"]


def test_killed_program_is_told_and_its_children_go_too(tmp_path: Path) -> None:
    with Foreground(tmp_path, tmp_path) as foreground:
        start_shell(foreground, "parent", "sleep 600 & echo up; wait")
        wait_until(lambda: is_up(foreground))
        process = foreground.programs[0].process
        assert process
        left = wait_until(lambda: descendants(process.pid))
        process.kill()
        with pytest.raises(ProgramEnded, match="parent was killed by SIGKILL"):
            foreground.wait(10)
    assert not any(is_alive(child) for child in left)


def test_orphans_with_sessions_of_their_own_are_found(tmp_path: Path) -> None:
    before = children()
    with Foreground(tmp_path, tmp_path) as foreground:
        start_shell(foreground, "parent", "setsid sh -c 'echo $$ > orphan; exec sleep 600' & echo up; wait")
        wait_until(lambda: (tmp_path / "orphan").exists() and (tmp_path / "orphan").read_text().strip())
        process = foreground.programs[0].process
        assert process
        process.kill()
        orphan = int((tmp_path / "orphan").read_text())
        wait_until(lambda: orphan in children())
    assert children() == before


def test_stubborn_program_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    with Foreground(tmp_path, tmp_path) as foreground:
        start_shell(foreground, "stubborn", STUBBORN, patience=0.1)
        wait_until(lambda: is_up(foreground))
        process = foreground.programs[0].process
    assert process
    assert process.returncode == -signal.SIGKILL


def test_watched_process_counts_as_a_program(tmp_path: Path) -> None:
    with Foreground(tmp_path, tmp_path) as foreground, subprocess.Popen(["sleep", "600"]) as other:
        foreground.watch("other", other.pid, tmp_path / "other.log")
        other.kill()
        with pytest.raises(ProgramEnded, match="other has ended"):
            foreground.wait(10)


def test_signal_asks_to_stop_and_a_second_kills(tmp_path: Path) -> None:
    process = holder(tmp_path, "stubborn")
    left = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.stdout
    assert process.stdout.readline() == "stopping\n"
    # Again and again: until it waits for the stubborn one, it takes a signal for the first one.
    wait_until(lambda: ends_after_signal(process))
    assert not any(is_alive(child) for child in left)


def test_programs_are_interrupted_when_we_are_killed(tmp_path: Path) -> None:
    directory = tmp_path / "with spaces"
    directory.mkdir()
    process = holder(directory, "one", "two")
    left = descendants(process.pid)
    assert len(left) >= 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(is_alive(child) for child in left))


def test_handlers_of_signals_come_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Foreground(tmp_path, tmp_path) as foreground, pytest.raises(StopRequested):
        signal.raise_signal(signal.SIGTERM)
        foreground.wait(10)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_earlier_log_is_kept_once(tmp_path: Path) -> None:
    for run in ("one", "two"):
        with Foreground(tmp_path, tmp_path) as foreground:
            start_shell(foreground, "program", f"echo {run}; echo up; sleep 600")
            wait_until(partial(is_up, foreground))
    assert tail(tmp_path / "program.log.1") == ["one", "up"]
    assert tail(tmp_path / "program.log") == ["two", "up"]


def test_follower_shows_events_and_troubles_once_and_only_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "runpools.log"
    log.write_text(
        "2026-01-02 03:04:05,678 INFO pools.events event=session_ended session=1\n"
        "2026-01-02 03:04:06,000 INFO pools.supervisor.loop event=pod_started\n"
        "Traceback of something\n"
        "2026-01-02 03:04:07,000 WARNING pools.chores.fleet_chores event=late\n"
        "2026-01-02 03:04:08,000 INFO pools.events event=sess"
    )
    follower = LogFollower(log)
    assert list(follower.news()) == [
        "03:04:05 session_ended session=1",
        "03:04:07 WARNING pools.chores.fleet_chores event=late",
    ]
    assert list(follower.news()) == []
    with open(log, "a") as file:
        file.write("ion_active session=2\n")
    assert list(follower.news()) == ["03:04:08 session_active session=2"]

"""`make run`: everything under one command, and nothing left of it."""

import contextlib
import errno
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from devtools import embedded_postgres
from devtools.log_follower import tail
from tests.support.process_tree import descendants, is_alive
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_DEADLINE = 60.0  # seconds; a start takes 4 s on a quiet machine
LIGHT_BOT = "pools.agent.bots.light"
OWN = ("DATABASE_URL", "SECRET_KEY", "DAILY_API_KEY", "DAILY_API_URL", "PORT", "RUNPOOLS_HEALTH_PORT", "POD_NAME")


@dataclass
class Run:
    process: "subprocess.Popen[bytes]"
    data_dir: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "\n".join(tail(self.data_dir / "output", lines=100))

    def pid_of(self, command: str) -> int:
        """Of the program whose command line has this in it."""
        for seen in descendants(self.process.pid):
            arguments = Path(f"/proc/{seen.pid}/cmdline").read_bytes().decode()
            if command in arguments:
                return seen.pid
        raise AssertionError(f"no {command} among the programs of pid {self.process.pid}")


def free_port() -> int:
    """Three free ports in a row, below those that the kernel gives away."""
    for _ in range(100):
        port = random.randrange(20_000, 30_000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for offset in range(3):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return port
    raise AssertionError("no free ports")


def manage(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )


def clean_environment(**values: str) -> dict[str, str]:
    """Without this test run's database and keys, and without those of a developer's .env file (empty is unset)."""
    return os.environ | dict.fromkeys(OWN, "") | values


@contextlib.contextmanager
def running(data_dir: Path, **environment: str) -> Iterator[Run]:
    """A run that is ready."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    sizes = {"VOICE_AGENT_POOL_SIZE": "1", "DAILY_ROOM_POOL_SIZE": "1"}
    values = clean_environment(DATA_DIR=str(data_dir), PORT=str(port), **sizes, **environment)
    with (
        open(data_dir / "output", "wb") as output,
        subprocess.Popen(
            [sys.executable, "manage.py", "rundev"], cwd=ROOT, env=values, stdout=output, stderr=output
        ) as process,
    ):
        run = Run(process, data_dir, port)
        try:
            wait_until(lambda: "Talk to it" in run.output or process.poll() is not None, START_DEADLINE)
            assert process.returncode is None, run.output
            yield run
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """Reachable for the server's account if we are root."""
    directory = Path(tempfile.mkdtemp(prefix="breezebuddy-tests-"))
    directory.chmod(0o755)
    yield directory / "a checkout" / ".data"
    embedded_postgres.remove(directory / "a checkout" / ".data" / "postgres")
    shutil.rmtree(directory)


def files_for_others(data_dir: Path) -> list[str]:
    """Files that others can read, in directories that they can enter."""
    found: list[str] = []
    for place, directories, files in os.walk(data_dir):
        directories[:] = [name for name in directories if Path(place, name).stat().st_mode & 0o001]
        found += [name for name in files if Path(place, name).stat().st_mode & 0o004]
    return found


def everything(run: Run) -> set[psutil.Process]:
    """The programs, their children, PostgreSQL."""
    seen = descendants(run.process.pid)
    assert len(seen) >= 8, "sandbox, runpools, zygote, agent, gunicorn and its workers, minder, postgres"
    return seen


def assert_only_for_this_machine(run: Run) -> None:
    """What listens on all addresses would be reached by this one; and a page of another name is none of ours."""
    api, probes, sandbox = run.port, run.port + 1, run.port + 2
    for port in (api, probes, sandbox):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.2", port)) == errno.ECONNREFUSED
    elsewhere = {"Host": f"evil.example:{api}"}
    assert requests.post(f"{run.url}/talk", headers=elsewhere, timeout=10).status_code == 400
    assert requests.get(f"http://127.0.0.1:{sandbox}/v1", headers=elsewhere, timeout=10).status_code == 403


def test_run_serves_calls_and_ctrl_c_leaves_nothing(data_dir: Path) -> None:
    with running(data_dir) as run:
        file = data_dir / "dev.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert files_for_others(data_dir) == ["output"], "this test's own"
        dev = json.loads(file.read_text())
        assert dev.keys() == {"base_url", "token", "admin_user", "admin_password", "sandbox_url"}
        assert dev["base_url"] == run.url
        assert_only_for_this_machine(run)
        for what in (f"{run.url}/docs", f"{run.url}/admin/", "1 of 1 ready", "runpools.log"):
            assert what in run.output

        for port in (run.port, run.port + 2):  # the API, the sandbox
            connection = http.client.HTTPConnection("::1", port, timeout=10)
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200, f"port {port} over IPv6"
            connection.close()

        demo = manage("demo", "--seconds", "0.5", DATA_DIR=str(data_dir))
        assert demo.returncode == 0, demo.stderr
        assert "The lead is FINISHED" in demo.stdout
        assert "agent process has acknowledged" in demo.stdout
        wait_until(lambda: "session_ended" in run.output)

        second = manage("rundev", DATA_DIR=str(data_dir), PORT=str(free_port()))
        assert second.returncode == 1
        assert f"pid {run.process.pid}" in second.stderr

        key_file = data_dir / "secret_key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        for secret in (dev["token"], dev["admin_password"], key_file.read_text().strip()):
            assert secret not in run.output
            assert not any(secret in log.read_text() for log in (data_dir / "logs").iterdir())

        left = everything(run)
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(timeout=60) == 0
        assert "Stopped." in run.output
        assert not any(is_alive(process) for process in left)


def test_run_that_was_killed_leaves_nothing_and_the_next_one_works(data_dir: Path) -> None:
    with running(data_dir, VOICE_AGENT_BOT=LIGHT_BOT) as run:
        before, key = json.loads((data_dir / "dev.json").read_text()), (data_dir / "secret_key").read_text()
        left = everything(run)
        run.process.kill()
        run.process.wait()
        with running(data_dir, VOICE_AGENT_BOT=LIGHT_BOT) as after:
            assert not any(is_alive(process) for process in left), "it waits for what is left"
            kept = json.loads((data_dir / "dev.json").read_text())
            assert (kept["token"], kept["admin_password"]) == (before["token"], before["admin_password"])
            assert (data_dir / "secret_key").read_text() == key, "log-ins outlive a restart"
            demo = manage("demo", "--seconds", "0.5", DATA_DIR=str(data_dir))
            assert demo.returncode == 0, "the first call gets no room of the last sandbox: " + demo.stderr

            left = everything(after)
            os.kill(after.pid_of("runpools"), signal.SIGKILL)
            assert after.process.wait(timeout=60) == 1
            assert "runpools was killed by SIGKILL" in after.output
            last_words = tail(data_dir / "logs" / "runpools.log", lines=1)[0]
            assert last_words in after.output.partition("everything else is stopped")[2], "the end of its log"
            wait_until(lambda: not any(is_alive(process) for process in left))


def test_port_in_use_is_named(data_dir: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        refused = manage("rundev", DATA_DIR=str(data_dir), PORT=str(port))
    assert refused.returncode == 1
    assert f"port {port} (for the API) cannot be used: Address already in use" in refused.stderr
    assert "PORT=" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_port_is_a_configuration_error(data_dir: Path) -> None:
    refused = manage("rundev", DATA_DIR=str(data_dir), PORT="http")
    assert refused.returncode == 2
    assert "PORT=http is not allowed" in refused.stderr


def test_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = manage("rundev", DATA_DIR=str(tmp_path / "file" / ".data"))
    assert refused.returncode == 1
    assert "is not writable" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_logs_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "logs").symlink_to("/proc/self/fdinfo")  # where not even root can
    refused = manage("rundev", DATA_DIR=str(tmp_path))
    assert refused.returncode == 1
    assert "is not writable" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_absent_database_is_waited_for(tmp_path: Path) -> None:
    environment = clean_environment(
        DATABASE_URL="postgres://nobody@127.0.0.1:1/nothing",
        SECRET_KEY="for-tests-only-0123456789abcdef-0123",
        DATA_DIR=str(tmp_path),
        PORT=str(free_port()),
    )
    with subprocess.Popen(
        [sys.executable, "manage.py", "rundev"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        line = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert "the database of DATABASE_URL (127.0.0.1:1) does not answer" in line
    assert "trying again" in line


def test_demo_says_when_nothing_runs(tmp_path: Path) -> None:
    refused = manage("demo", DATA_DIR=str(tmp_path))
    assert refused.returncode == 1
    assert "start it with `make run`" in refused.stderr


def test_command_without_database_says_how_to_start_it(tmp_path: Path) -> None:
    refused = manage("showmigrations", DATA_DIR=str(tmp_path))
    assert refused.returncode == 1
    assert "start it with `make run`" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [("foo", "foo"), ("postgres://me:hush@db:many/x", "(not shown)"), ("mysql://me:hush@db/x", "(not shown)")],
)
def test_wrong_database_url_is_one_line_without_its_password(tmp_path: Path, value: str, shown: str) -> None:
    refused = manage(
        "check", DATA_DIR=str(tmp_path), DATABASE_URL=value, SECRET_KEY="for-tests-only-0123456789abcdef-0123"
    )
    assert refused.returncode == 2 and "hush" not in refused.stderr
    assert refused.stderr.splitlines() == [
        f"manage.py: configuration error: DATABASE_URL={shown} is not allowed: postgres://user:password@host:port/name"
        " (special characters percent-encoded)"
    ]


def test_wrong_setting_ends_a_command_with_one_line(tmp_path: Path) -> None:
    refused = manage("check", DATA_DIR=str(tmp_path), VOICE_AGENT_POOL_SIZE="many")
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "manage.py: configuration error: VOICE_AGENT_POOL_SIZE=many is not allowed: a whole number from 0 to 10000"
    ]

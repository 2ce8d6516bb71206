"""The embedded PostgreSQL: real servers, killed and crowded."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import environ
import psycopg
import pytest

from devtools import embedded_postgres
from devtools.embedded_postgres import EmbeddedPostgresError, postmaster
from devtools.embedded_postgres.account import by_uid
from devtools.embedded_postgres.place import find
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
USE_UNTIL_EOF = """
import sys
from pathlib import Path
from devtools import embedded_postgres
server = embedded_postgres.start(Path(sys.argv[1]))
print(server.started_here, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A directory that the server's account can reach even if we are root (pytest's own are 0700)."""
    directory = Path(tempfile.mkdtemp(prefix="breezebuddy-tests-"))
    directory.chmod(0o755)
    yield directory
    for data_dir in list(directory.rglob("lock")):
        embedded_postgres.remove(data_dir.parent)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def data_dir(base: Path) -> Path:
    """One cluster for all tests that leave it in order."""
    return base / "postgres"


@contextlib.contextmanager
def running(data_dir: Path) -> Iterator[embedded_postgres.Server]:
    server = embedded_postgres.start(data_dir)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def user_process(data_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uses the server until its stdin is closed."""
    command = [sys.executable, "-c", USE_UNTIL_EOF, str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def query(server: embedded_postgres.Server, statement: str) -> object:
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def server_pid(data_dir: Path) -> int:
    pid = postmaster.postmaster(find(data_dir).cluster)
    assert pid is not None
    return pid


def test_address_is_known_without_a_server_and_read_by_django_and_libpq(tmp_path: Path) -> None:
    url = embedded_postgres.database_url(tmp_path / "a b+%")

    config = environ.Env.db_url_config(url)
    assert config["ENGINE"] == "django.db.backends.postgresql"
    assert (config["USER"], config["NAME"]) == ("breezebuddy", "breezebuddy")
    assert config["OPTIONS"] == {"host": f"{tmp_path}/a b+%/s", "port": 5432}
    assert psycopg.conninfo.conninfo_to_dict(url)["host"] == f"{tmp_path}/a b+%/s"
    assert list(tmp_path.iterdir()) == []


def test_start_attach_and_stop(data_dir: Path) -> None:
    assert not embedded_postgres.is_running(data_dir)
    with running(data_dir) as server:
        assert server.started_here
        assert embedded_postgres.is_running(data_dir)
        assert server.url == embedded_postgres.database_url(data_dir)
        assert query(server, "SELECT current_database()") == "breezebuddy"

        second = embedded_postgres.start(data_dir)
        assert not second.started_here
        assert second.stop() is False, "the first still uses it"
        assert embedded_postgres.is_running(data_dir)

        assert server.stop() is True
        assert not embedded_postgres.is_running(data_dir)
        assert postmaster.all_of(find(data_dir).cluster) == []
        assert server.stop() is True, "twice does no harm"


def test_server_is_durable_and_set_for_our_load(data_dir: Path) -> None:
    with running(data_dir) as server:
        settings = {
            name: query(server, f"SHOW {name}")
            for name in ("fsync", "TimeZone", "listen_addresses", "idle_in_transaction_session_timeout")
        }
        assert settings == {
            "fsync": "on",
            "TimeZone": "UTC",
            "listen_addresses": "",
            "idle_in_transaction_session_timeout": "30s",
        }
        assert query(server, "SELECT upper('é')") == "É", "more than ASCII has upper case"


def test_nobody_else_gets_in_and_nothing_above_is_opened(base: Path, data_dir: Path) -> None:
    with running(data_dir):
        place = find(data_dir)
        assert place.data_dir.stat().st_mode & 0o077 in (0, 0o010), "at most the server's own group may pass through"
        assert place.sockets.stat().st_mode & 0o777 == 0o700
        assert (place.sockets / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
        assert place.cluster.stat().st_mode & 0o777 == 0o700
        assert place.log.stat().st_mode & 0o777 == 0o600
        assert base.stat().st_mode & 0o777 == 0o755


def test_ctrl_c_does_not_reach_the_server(data_dir: Path) -> None:
    with running(data_dir):
        assert os.getsid(server_pid(data_dir)) != os.getsid(0)


def test_killed_server_starts_again_with_its_rows(data_dir: Path) -> None:
    with running(data_dir) as server:
        query(server, "CREATE TABLE IF NOT EXISTS kept (n int)")
        query(server, "INSERT INTO kept VALUES (1)")
        os.kill(server_pid(data_dir), signal.SIGKILL)

        with running(data_dir) as again:
            assert again.started_here
            assert query(again, "SELECT count(*) FROM kept") == 1


def test_stale_pid_file_with_a_reused_pid_stops_nothing(data_dir: Path) -> None:
    cluster = find(data_dir).cluster
    with running(data_dir):
        pid_files = cluster / "postmaster.pid", find(data_dir).sockets / ".s.PGSQL.5432.lock"
        contents = [file.read_text() for file in pid_files]
        real_pid = str(server_pid(data_dir))
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            for file, content in zip(pid_files, contents, strict=True):
                file.write_text(content.replace(real_pid, str(stranger.pid), 1))
            assert not embedded_postgres.is_running(data_dir)
            with running(data_dir) as server:
                assert server.started_here
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_server_goes_when_its_only_user_is_killed(data_dir: Path) -> None:
    with user_process(data_dir) as user:
        assert user.stdout
        assert user.stdout.readline() == "True\n"
        cluster = find(data_dir).cluster
        user.kill()
        wait_until(lambda: not postmaster.all_of(cluster))


def test_server_stays_for_the_others_when_its_starter_is_killed(data_dir: Path) -> None:
    with user_process(data_dir) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == "True\n"
        with running(data_dir) as server:
            starter.kill()
            starter.wait()
            assert query(server, "SELECT 1") == 1
    assert not embedded_postgres.is_running(data_dir)


def test_server_without_its_minder_is_used_and_stopped(data_dir: Path) -> None:
    with user_process(data_dir) as starter:
        assert starter.stdout
        starter.stdout.readline()
        pid = server_pid(data_dir)
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(parent, signal.SIGKILL)
        starter.kill()
        starter.wait()

        server = embedded_postgres.start(data_dir)
        assert not server.started_here
        assert server.stop() is True
        wait_until(lambda: not postmaster.all_of(find(data_dir).cluster))


def test_directory_moved_under_a_running_server_gets_a_server_again(base: Path, data_dir: Path) -> None:
    moved = base / "moved"
    with running(data_dir):
        data_dir.rename(moved)
        try:
            with running(moved) as server:
                assert server.started_here
                assert query(server, "SELECT 1") == 1
        finally:
            moved.rename(data_dir)


def test_eight_starters_at_once_get_one_server(base: Path) -> None:
    data_dir = base / "crowd"
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(user_process(data_dir)) for _ in range(8)]
        started = [user.stdout.readline() for user in users if user.stdout]
        assert sorted(started) == ["False\n"] * 7 + ["True\n"]
        for user in users:
            user.communicate("")
        assert [user.returncode for user in users] == [0] * 8
    assert not embedded_postgres.is_running(data_dir)
    assert postmaster.all_of(find(data_dir).cluster) == []


@pytest.mark.parametrize("name", ["x" * 120, "with spaces, a comma and a 'quote'"])
def test_awkward_paths_work(base: Path, name: str) -> None:
    with running(base / name / "postgres") as server:
        assert query(server, "SELECT current_database()") == "breezebuddy"
        assert server.url == embedded_postgres.database_url(base / name / "postgres")
        assert find(base / name / "postgres").sockets.stat().st_mode & 0o777 == 0o700


def test_private_checkout_stays_private(base: Path) -> None:
    checkout = base / "checkout"
    checkout.mkdir(mode=0o700)
    data_dir = checkout / ".data" / "postgres"
    with running(data_dir) as server:
        assert query(server, "SELECT 1") == 1
        assert checkout.stat().st_mode & 0o777 == 0o700
        assert server.url == embedded_postgres.database_url(data_dir)
    home = find(data_dir).home
    assert (home == data_dir) == (os.geteuid() != 0), "root's server cannot reach in, so its files lie outside"
    copy = base / "copy"
    shutil.copytree(data_dir, copy)
    assert find(copy).home == copy, "a copy gets a server of its own"
    embedded_postgres.remove(data_dir)
    assert not home.exists()


def test_server_in_use_is_not_removed(data_dir: Path) -> None:
    with running(data_dir), pytest.raises(EmbeddedPostgresError, match="in use"):
        embedded_postgres.remove(data_dir)


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"file/postgres is not writable.*DATA_DIR"):
        embedded_postgres.start(tmp_path / "file" / "postgres")


def test_missing_binaries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_BIN_DIR", str(tmp_path))
    with pytest.raises(EmbeddedPostgresError, match=r"no PostgreSQL binaries found.*POSTGRES_BIN_DIR"):
        embedded_postgres.start(tmp_path / "postgres")


def test_user_unknown_to_the_system_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"uid 54321 has no entry in /etc/passwd.*DATABASE_URL"):
        by_uid(54321)


def test_failed_start_says_what_the_server_said(data_dir: Path) -> None:
    conf = find(data_dir).cluster / "postgresql.conf"
    original = conf.read_text()
    conf.write_text(original + "\nnonsense = 1\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"did not start: .*contains errors") as raised:
            embedded_postgres.start(data_dir)
        assert "\n" not in str(raised.value)
    finally:
        conf.write_text(original)


def test_cluster_of_another_version_is_refused(data_dir: Path) -> None:
    version = find(data_dir).cluster / "PG_VERSION"
    original = version.read_text()
    version.write_text("9\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 9, we have \d+"):
            embedded_postgres.start(data_dir)
    finally:
        version.write_text(original)

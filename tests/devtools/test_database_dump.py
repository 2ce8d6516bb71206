"""Moving to another database: everything comes along, nothing is overwritten, no password is shown."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from devtools import database_dump
from tests.support.make import make_lead, make_pod, make_session
from tests.support.programs import PROJECT

pytestmark = pytest.mark.usefixtures("transactional_db")


def url_of(database: str) -> str:
    return urlunsplit(urlsplit(settings.DATABASE_URL)._replace(path=f"/{database}"))


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Its address."""
    name = f"moved_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url_of(connection.settings_dict["NAME"]), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield url_of(name)
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def rows(url: str) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every table, and where each sequence stands."""
    with psycopg.connect(url) as database:
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        found = {
            table: database.execute(
                sql.SQL("SELECT row::text FROM {} AS row ORDER BY 1").format(sql.Identifier(table))
            ).fetchall()
            for (table,) in tables
        }
        sequences = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
        return found | {"sequences": database.execute(sequences).fetchall()}


def imported(file: Path, url: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", "importdata", str(file)]
    environment = os.environ | {"DATABASE_URL": url}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)


def test_what_is_exported_is_imported_row_by_row_and_only_into_an_empty_database(empty_database, tmp_path, capsys):
    pod = make_pod()
    for number in range(5):
        session = make_session(
            "ended" if number else "active", pod=pod, transcript=[{"role": "bot", "content": "नमस्ते"}]
        )
        make_lead("PROCESSING", voice_session=session, payload={"name": 'Ann "O\'Hara"\n', "n": number})
    file = tmp_path / "all.dump"
    call_command("exportdata", file)
    told = capsys.readouterr()
    assert str(file) in told.out and "1 pods run" in told.err
    assert file.stat().st_mode & 0o777 == 0o600
    done = imported(file, empty_database)
    assert done.returncode == 0, done.stderr
    assert "leads_lead: 5 rows" in done.stdout
    before, after = rows(url_of(connection.settings_dict["NAME"])), rows(empty_database)
    assert len(before["pools_voicesession"]) == 5 and after == before
    again = imported(file, empty_database)
    assert again.returncode == 1 and "the database is not empty" in again.stderr


def test_a_file_that_is_there_is_not_overwritten_and_one_that_is_not_is_named(tmp_path):
    file = tmp_path / "a.dump"
    file.write_text("precious")
    with pytest.raises(CommandError, match="is there already"):
        call_command("exportdata", file)
    assert file.read_text() == "precious"
    with pytest.raises(CommandError, match="there is no file"):
        call_command("importdata", tmp_path / "b.dump")


def test_a_file_that_is_no_export_changes_nothing(empty_database, tmp_path):
    file = tmp_path / "a.dump"
    file.write_text("not a dump")
    done = imported(file, empty_database)
    assert done.returncode == 1 and "pg_restore" in done.stderr
    assert list(rows(empty_database)) == ["sequences"]


def test_a_failed_dump_leaves_no_file_and_shows_no_password(tmp_path):
    file = tmp_path / "a.dump"
    parameters = {"host": str(tmp_path), "dbname": "nowhere", "user": "ann", "password": "hunter2-hunter2"}
    with pytest.raises(database_dump.DumpFailed) as failure:
        database_dump.dump(parameters, file)
    assert not file.exists() and "hunter2" not in str(failure.value)

"""Upgrades: every migration can be taken back, and locks nobody out of a database that is filled and busy."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, migrations, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from breezebuddy.management.commands.migrate import OURS
from common.postgresql.schema import SchemaEditor, unfinished
from leads.models import Lead
from pools.models import VoiceSession
from tests.support.make import make_agent_process, make_lead, make_pod, make_room, make_session

FIRST_RELEASE = [("pools", "0001_initial"), ("leads", "0001_initial")]
SCHEMA = """
SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) || convalidated
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'
UNION ALL SELECT table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2, 3"""

# What a migration may not do to a table that was there before it, while the old code runs on it. In words, and how it
# looks in the SQL that `manage.py migrate` executes.
FORBIDDEN = {
    "builds an index while writers wait": r'^CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)\S+ ON "{table}"',
    "rewrites the table": r'^ALTER TABLE "{table}" .*ALTER COLUMN \S+ TYPE',
    "reads the whole table under a lock": r'^ALTER TABLE "{table}" .*(SET NOT NULL|ADD CONSTRAINT(?!.*NOT VALID))',
    "breaks INSERTs of the old code": r'^ALTER TABLE "{table}" .*ADD COLUMN (?!.*DEFAULT).*NOT NULL',
    "takes away what the old code reads": r'^(DROP TABLE|ALTER TABLE(?=.*(DROP COLUMN|RENAME))) "{table}"',
}
# Its table was made after the first release and is gone before the next one: no release has ever used it.
NEVER_RELEASED = {("leads", "0006_rate_allowance", "leads_throttlecount")}


def problems_of(statements: list[str]) -> set[tuple[str, str]]:
    """What is wrong, with the table."""
    new = {found[1] for statement in statements if (found := re.match(r'CREATE TABLE "(\w+)"', statement))}
    return {
        (words, matched["table"])
        for words, pattern in FORBIDDEN.items()
        for statement in statements
        if (matched := re.search(pattern.replace("{table}", r"(?P<table>\w+)"), statement))
        and matched["table"] not in new
    }


def sql_of(migration: migrations.Migration, state: ProjectState) -> list[str]:
    """As it is executed on a database in use."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(state, editor, collect_sql=True)
    lines = [line for line in editor.collected_sql if not line.startswith("--")]
    return [statement.strip() for statement in re.split(r";\n?", "\n".join(lines)) if statement.strip()]


@pytest.fixture
def gentle() -> Iterator[None]:
    SchemaEditor.gentle = True
    yield
    SchemaEditor.gentle = False


def steps() -> list[tuple[str, str]]:
    loader = MigrationExecutor(connection).loader
    plan: list[tuple[str, str]] = []
    for target in loader.graph.leaf_nodes():
        plan += [key for key in loader.graph.forwards_plan(target) if key not in plan]
    return [key for key in plan if key[0] in OURS and key not in FIRST_RELEASE]


@pytest.mark.django_db
def test_no_migration_locks_the_old_code_out_or_breaks_it(gentle):
    loader = MigrationExecutor(connection).loader
    found = set()
    for app, name in steps():
        state = loader.project_state((app, name), at_end=False)
        migration = loader.graph.nodes[app, name]
        found |= {(app, name, table, words) for words, table in problems_of(sql_of(migration, state))}
    assert {step for step in found if step[:3] not in NEVER_RELEASED} == set()


class Bad(migrations.Migration):
    operations = [
        migrations.AddField("pod", "needed", models.IntegerField()),
        migrations.AlterField("pod", "os_pid", models.CharField(max_length=9)),
        migrations.RemoveField("pod", "host"),
        migrations.RenameField("pod", "name", "title"),
        migrations.AddConstraint("pod", models.UniqueConstraint(fields=["uuid", "version"], name="bad")),
        migrations.AlterField("room", "pod", models.ForeignKey("pools.Pod", models.CASCADE)),
        migrations.DeleteModel("EventTally"),
    ]


class Plain(migrations.Migration):
    """As Django would do it."""

    operations = [migrations.AddIndex("pod", models.Index(fields=["version"], name="bad"))]


@pytest.mark.django_db
def test_the_rules_find_what_they_forbid(gentle):
    state = MigrationExecutor(connection).loader.project_state()
    found = problems_of(sql_of(Bad("bad", "pools"), state))
    assert {words for words, _ in found} == set(FORBIDDEN) - {"builds an index while writers wait"}
    assert ("takes away what the old code reads", "pools_eventtally") in found
    SchemaEditor.gentle = False
    state = MigrationExecutor(connection).loader.project_state()
    assert problems_of(sql_of(Plain("plain", "pools"), state)) == {("builds an index while writers wait", "pools_pod")}


# --- forwards and backwards, for real ----------------------------------------------------------------------


def schema() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        return cursor.fetchall()


@pytest.fixture
def whole_schema(transactional_db: None) -> Iterator[None]:
    """Whatever a test has left undone is done at its end."""
    yield
    call_command("migrate", verbosity=0)


def fill() -> None:
    pod = make_pod()
    make_room(pod=pod), make_agent_process(pod)
    for number in range(20):
        session = make_session("ended" if number % 2 else "active", pod=pod, transcript=[{"role": "bot"}])
        make_lead("PROCESSING", voice_session=session, request_id=f"order-{number}")
    make_lead(payload={"a": 1})


def test_a_filled_database_goes_back_to_the_first_release_and_forwards_again(whole_schema):
    before = schema()
    fill()
    sessions, leads = VoiceSession.objects.count(), Lead.objects.count()
    executor = MigrationExecutor(connection)
    executor.migrate(FIRST_RELEASE)
    assert schema() != before
    call_command("migrate", verbosity=0)
    assert schema() == before
    assert (VoiceSession.objects.count(), Lead.objects.count()) == (sessions, leads)
    assert VoiceSession.objects.filter(transcript=[{"role": "bot"}]).count() == 20
    assert Lead.objects.exclude(call_id="").count() == 20 and Lead.objects.get(call_id="").payload


def test_every_single_migration_goes_back_and_forwards(whole_schema):
    fill()
    for key in reversed(steps()):
        executor = MigrationExecutor(connection)
        parents = [parent.key for parent in executor.loader.graph.node_map[key].parents if parent.key[0] == key[0]]
        executor.migrate(parents)
    call_command("migrate", verbosity=0)
    assert VoiceSession.objects.count() == 20


@contextmanager
def somebody_holds(lock: str) -> Iterator[None]:
    """Until the block ends, another connection's transaction has executed this statement."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(lock)
                held.set()
                release.wait(60)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(30)
        yield
    finally:
        release.set()
        holder.join()


def test_a_migration_gives_up_a_lock_that_somebody_holds_and_has_it_afterwards(whole_schema):
    MigrationExecutor(connection).migrate([("pools", "0010_operators_acts")])
    with somebody_holds("LOCK TABLE pools_pod IN ROW EXCLUSIVE MODE"):
        with pytest.raises(CommandError, match="something holds a table for long"):
            call_command("migrate", patience=0.1, verbosity=0)
        with connection.cursor() as cursor:  # nobody queues behind a lock that is waited for
            cursor.execute("SELECT count(*) FROM pools_pod")
    call_command("migrate", verbosity=0)
    assert make_pod().draws_from is None


def test_what_changes_many_rows_changes_them_in_batches_so_that_nobody_waits_for_all(whole_schema, monkeypatch):
    """A pod that ends a call waits for its lead. Were it one transaction, none of the others would be done yet."""
    monkeypatch.setattr(import_module("leads.migrations.0005_count_attempts_anew"), "BATCH", 5)
    fill()
    last = Lead.objects.exclude(voice_session=None).latest("pk").pk
    MigrationExecutor(connection).migrate([("leads", "0004_profile_and_throttle_count")])

    def done() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM leads_lead WHERE platform_reason = 'WEB_SESSION'")
            return int(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute("UPDATE leads_lead SET platform_reason = ''")
    with somebody_holds(f"SELECT FROM leads_lead WHERE id = {last} FOR UPDATE"):
        with pytest.raises(CommandError, match="something holds a table for long"):
            call_command("migrate", patience=0.1, verbosity=0)
        assert done() == 15
    call_command("migrate", verbosity=0)
    assert done() == 20


def test_an_index_that_is_missing_or_half_built_is_made_up_for(whole_schema):
    before = schema()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX session_missed")
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'session_unclaimed'::regclass")
    apps = MigrationExecutor(connection).loader.project_state().apps
    assert [statement.split(" ON ")[0] for statement in unfinished(connection, apps, OURS)] == [
        'DROP INDEX CONCURRENTLY IF EXISTS "session_unclaimed"',
        'CREATE INDEX CONCURRENTLY "session_unclaimed"',
        'CREATE INDEX CONCURRENTLY "session_missed"',
    ]
    call_command("migrate", verbosity=0)
    assert schema() == before and not list(unfinished(connection, apps, OURS))

"""Upgrades: every migration can be taken back, and locks nobody out of a database that is filled and busy."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, migrations, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django_zero_downtime_migrations.backends.postgres.schema import UnsafeOperationException
from psycopg.errors import LockNotAvailable

from tests.support.make import make_agent_process, make_lead, make_pod, make_room, make_session

OURS = ("access", "pools", "leads")
FIRST_RELEASE = [(app, "0001_initial") for app in OURS]
SCHEMA = """
SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) || convalidated
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'
UNION ALL SELECT indrelid::regclass::text, indexrelid::regclass::text, indisvalid::text
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = current_schema()::regnamespace
UNION ALL SELECT table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2, 3"""

# What a migration may not do to a table that was there before it, while the old code runs on it. In words, and how it
# looks in the SQL that `manage.py migrate` executes. More is refused before there is SQL: see the test of the rules.
FORBIDDEN = {
    "builds an index while writers wait": r'^CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)\S+ ON "{table}"',
    "rewrites the table": r'^ALTER TABLE "{table}" .*ALTER COLUMN \S+ TYPE',
    "reads the whole table under a lock": r'^ALTER TABLE "{table}" .*ADD CONSTRAINT(?!.*(NOT VALID|USING INDEX))',
    "breaks INSERTs of the old code": r'^ALTER TABLE "{table}" .*ADD COLUMN (?!.*DEFAULT).*NOT NULL',
    "takes away what the old code reads": r'^(DROP TABLE|ALTER TABLE(?=.*(DROP COLUMN|RENAME))) "{table}"',
}


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
    """As it is executed on a database in use. Raises UnsafeOperationException."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(state, editor, collect_sql=True)
    lines = [line for line in editor.collected_sql if not line.startswith("--")]
    return [statement.strip() for statement in re.split(r";\n?", "\n".join(lines)) if statement.strip()]


def steps() -> list[tuple[str, str]]:
    """All migrations of ours, in the order in which they are applied."""
    loader = MigrationExecutor(connection).loader
    plan: list[tuple[str, str]] = []
    for target in loader.graph.leaf_nodes():
        plan += [key for key in loader.graph.forwards_plan(target) if key not in plan]
    return [key for key in plan if key[0] in OURS]


@pytest.mark.django_db
def test_no_migration_locks_the_old_code_out_or_breaks_it():
    loader = MigrationExecutor(connection).loader
    found = set()
    for app, name in steps():
        if (app, name) in FIRST_RELEASE:
            continue
        state = loader.project_state((app, name), at_end=False)
        migration = loader.graph.nodes[app, name]
        found |= {(app, name, table, words) for words, table in problems_of(sql_of(migration, state))}
    assert found == set()


def made_of(*operations: Any) -> migrations.Migration:
    made_up: type[migrations.Migration] = type("MadeUp", (migrations.Migration,), {"operations": list(operations)})
    return made_up("made_up", "pools")


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("pod", "needed", models.IntegerField()),
        migrations.AlterField("pod", "os_pid", models.CharField(max_length=9)),
        migrations.RenameField("pod", "name", "title"),
        migrations.AlterModelTable("pod", "pools_other"),
    ],
)
@pytest.mark.django_db
def test_what_would_rewrite_a_table_or_break_the_old_code_is_refused(operation):
    state = MigrationExecutor(connection).loader.project_state()
    with pytest.raises(UnsafeOperationException):
        sql_of(made_of(operation), state)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (migrations.RemoveField("pod", "host"), "takes away what the old code reads"),
        (migrations.DeleteModel("SeenDailyEvent"), "takes away what the old code reads"),
        (migrations.RunSQL('CREATE INDEX bad ON "pools_pod" (version)'), "builds an index while writers wait"),
        (migrations.RunSQL('ALTER TABLE "pools_pod" ALTER COLUMN os_pid TYPE text'), "rewrites the table"),
        (
            migrations.RunSQL('ALTER TABLE "pools_pod" ADD CONSTRAINT bad CHECK (os_pid > 0)'),
            "reads the whole table under a lock",
        ),
        (
            migrations.RunSQL('ALTER TABLE "pools_pod" ADD COLUMN needed int NOT NULL'),
            "breaks INSERTs of the old code",
        ),
    ],
)
@pytest.mark.django_db
def test_the_rules_find_what_they_forbid(operation, words):
    state = MigrationExecutor(connection).loader.project_state()
    assert words in {found for found, _ in problems_of(sql_of(made_of(operation), state))}


def changes() -> migrations.Migration:
    """Of each kind that Django by itself makes with a lock held for long."""
    return made_of(
        migrations.AddField("pod", "shelf", models.CharField(max_length=9, db_default="")),
        migrations.AddIndex("pod", models.Index(fields=["shelf"], name="made_up_index")),
        migrations.AddConstraint("pod", models.UniqueConstraint(fields=["uuid", "shelf"], name="made_up_unique")),
        migrations.AddConstraint("pod", models.CheckConstraint(condition=~models.Q(shelf="x"), name="made_up_check")),
    )


@pytest.mark.django_db
def test_the_changes_of_the_tests_below_break_no_rule():
    assert problems_of(sql_of(changes(), MigrationExecutor(connection).loader.project_state())) == set()


# --- forwards and backwards, for real ----------------------------------------------------------------------


def schema() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        return cursor.fetchall()


def fill() -> None:
    pod = make_pod()
    make_room(pod=pod), make_agent_process(pod)
    for number in range(20):
        session = make_session("ended" if number % 2 else "active", pod=pod, transcript=[{"role": "bot"}])
        make_lead("PROCESSING", voice_session=session, request_id=f"order-{number}")
    make_lead(payload={"a": 1})


@pytest.fixture
def whole_schema(transactional_db: None) -> Iterator[None]:
    """Whatever a test has left undone is done at its end."""
    yield
    call_command("migrate", verbosity=0)


def test_every_single_migration_goes_back_and_forwards(whole_schema):
    before = schema()
    fill()
    for app, name in reversed(steps()):
        executor = MigrationExecutor(connection)
        parents = executor.loader.graph.node_map[app, name].parents
        executor.migrate([parent.key for parent in parents if parent.key[0] == app] or [(app, None)])
    assert not any(str(table).startswith(OURS) for table, *_ in schema())
    call_command("migrate", verbosity=0)
    assert schema() == before


@pytest.fixture
def made_up(transactional_db: None) -> Iterator[migrations.Migration]:
    """Taken back at the end, as far as a test has applied it."""
    yield changes()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS made_up_index")
        for name in ("made_up_check", "made_up_unique"):
            cursor.execute(f"ALTER TABLE pools_pod DROP CONSTRAINT IF EXISTS {name}")
        cursor.execute("ALTER TABLE pools_pod DROP COLUMN IF EXISTS shelf")


def apply(migration: migrations.Migration) -> None:
    """As `manage.py migrate` does it."""
    state = MigrationExecutor(connection).loader.project_state()
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(state, editor)


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


def test_a_migration_gives_up_a_lock_that_somebody_holds_and_has_it_when_run_again(made_up):
    fill()
    with somebody_holds("LOCK TABLE pools_pod IN ROW EXCLUSIVE MODE"):
        with pytest.raises(OperationalError) as refused:
            apply(made_up)
        assert isinstance(refused.value.__cause__, LockNotAvailable)
        with connection.cursor() as cursor:  # nobody queues behind a lock that is waited for
            cursor.execute("SELECT count(*) FROM pools_pod")
    apply(made_up)
    assert made_up_objects() == {"made_up_index": True, "made_up_unique": True, "made_up_check": True}


def test_an_interrupted_migration_goes_on_where_it_stopped(made_up):
    fill()
    apply(made_up)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'made_up_index'::regclass")
        cursor.execute("ALTER TABLE pools_pod DROP CONSTRAINT made_up_check")
    assert made_up_objects() == {"made_up_index": False, "made_up_unique": True}
    apply(made_up)
    assert made_up_objects() == {"made_up_index": True, "made_up_unique": True, "made_up_check": True}


def made_up_objects() -> dict[str, bool]:
    """Indexes and constraints of the changes, with whether they hold for all rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE relname LIKE 'made_up%' UNION ALL"
            " SELECT conname, convalidated FROM pg_constraint WHERE conname = 'made_up_check'"
        )
        return dict(cursor.fetchall())

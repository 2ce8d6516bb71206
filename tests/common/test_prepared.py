"""Prepared statements: really prepared, and none the worse for a migration meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import OperationalError, connection, models
from django.test.utils import CaptureQueriesContext

from access.models import ApiToken
from common.postgresql.prepared import prepared_cursor
from pools.models import Room, VoiceSession
from pools.processes.session_rows import to_see_to
from pools.sessions.claims import claim
from pools.supervisor.quick_poll import quick_poll
from tests.devtools.test_database_dump import url_of
from tests.pools.test_claims import REQUEST, claimed
from tests.support.make import make_agent_process, make_pod, make_room, make_session


def execute(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def migrated(*changed: type[models.Model]) -> Iterator[None]:
    """By another connection: texts may be longer, and there is another column."""
    texts = [
        (model._meta.db_table, field.column, field.max_length)
        for model in changed
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField) and field.max_length
    ]
    with psycopg.connect(url_of(connection.settings_dict["NAME"]), autocommit=True) as other:

        def lengthen(by: int) -> None:
            for table, column, length in texts:
                other.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar({length + by})")

        lengthen(1)
        for model in changed:
            other.execute(f"ALTER TABLE {model._meta.db_table} ADD COLUMN later integer NOT NULL DEFAULT 1")
        try:
            yield
        finally:
            for model in changed:
                other.execute(f"ALTER TABLE {model._meta.db_table} DROP COLUMN later")
            lengthen(0)


@pytest.mark.django_db
def test_a_statement_is_planned_once_a_connection():
    execute("DEALLOCATE ALL")
    for number in range(3):
        with prepared_cursor() as cursor:
            cursor.execute("SELECT 40 + %s", [number])
            assert cursor.fetchone() == (40 + number,)
    assert execute("SELECT statement FROM pg_prepared_statements") == [("SELECT 40 + $1",)]


@pytest.mark.django_db
def test_the_quick_poll_and_the_claim_are_prepared():
    execute("DEALLOCATE ALL")
    pod = make_pod()
    make_agent_process(pod), make_room()
    quick_poll(pod, free_slots=1, start_method="zygote", agent_trouble="", calls=False)
    claim(REQUEST)
    prepared = [str(text) for (text,) in execute("SELECT statement FROM pg_prepared_statements")]
    assert any("heartbeat_at = " in text for text in prepared)
    assert any('INSERT INTO "pools_voicesession"' in text for text in prepared)


@pytest.mark.django_db(transaction=True)
def test_it_goes_on_when_a_migration_has_changed_its_tables():
    _, secret = ApiToken.issue(name="them", role="admin")
    for _ in range(2):
        make_agent_process(), make_room()
    first, token = claimed(), ApiToken.usable_by(secret)
    with migrated(Room, VoiceSession, ApiToken):
        assert claimed().pk != first.pk
        assert ApiToken.usable_by(secret) == token


@pytest.mark.django_db(transaction=True)
def test_where_a_column_has_another_type_the_connection_is_had_anew():
    pod, session = make_pod(), make_session("waiting")
    assert to_see_to(pod)
    with psycopg.connect(url_of(connection.settings_dict["NAME"]), autocommit=True) as other:
        other.execute("ALTER TABLE pools_voicesession ALTER COLUMN attempt TYPE bigint")
        try:
            with pytest.raises(OperationalError):
                to_see_to(pod)
            connection.close()  # as Django does after each request, and `runpools` where the database is away
            assert [one.pk for one in to_see_to(pod)] == [session.pk]
        finally:
            other.execute("ALTER TABLE pools_voicesession ALTER COLUMN attempt TYPE smallint")
    connection.close()


@pytest.mark.django_db
def test_the_log_of_queries_has_its_values():
    with CaptureQueriesContext(connection) as queries, prepared_cursor() as cursor:
        cursor.execute("SELECT %(word)s::text", {"word": "it's"})
    assert [query["sql"] for query in queries] == ["SELECT 'it''s'::text"]

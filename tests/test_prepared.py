"""Prepared statements: really prepared, and none the worse for a migration meanwhile."""

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from breezebuddy.postgresql.prepared import prepared_cursor
from leads.models import ApiToken
from pools.claims import claim
from pools.glance import glance
from pools.models import Room, VoiceSession
from tests.make import make_agent_process, make_pod, make_room
from tests.test_claims import REQUEST


def execute(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def widen(model: type[models.Model]) -> None:
    """As a migration does that lets texts be longer, and another that adds a column."""
    table = model._meta.db_table
    for field in model._meta.concrete_fields:
        if isinstance(field, models.CharField) and field.max_length:
            execute(f"ALTER TABLE {table} ALTER COLUMN {field.column} TYPE varchar({field.max_length + 1})")
    execute(f"ALTER TABLE {table} ADD COLUMN later integer NOT NULL DEFAULT 1")


@pytest.mark.django_db
def test_a_statement_is_planned_once_a_connection():
    execute("DEALLOCATE ALL")
    for number in range(3):
        with prepared_cursor() as cursor:
            cursor.execute("SELECT 40 + %s", [number])
            assert cursor.fetchone() == (40 + number,)
    assert execute("SELECT statement FROM pg_prepared_statements") == [("SELECT 40 + $1",)]


@pytest.mark.django_db
def test_the_glance_and_the_claim_are_prepared():
    execute("DEALLOCATE ALL")
    pod = make_pod()
    make_agent_process(pod), make_room()
    glance(pod, free_slots=1, start_method="zygote", agent_trouble="", calls=False)
    claim(REQUEST)
    prepared = [str(text) for (text,) in execute("SELECT statement FROM pg_prepared_statements")]
    assert any("heartbeat_at = " in text for text in prepared)
    assert any("INSERT INTO pools_voicesession" in text for text in prepared)


@pytest.mark.django_db
def test_it_goes_on_when_a_migration_has_changed_its_tables():
    _, secret = ApiToken.issue(name="them", role="admin")
    for _ in range(2):
        make_agent_process(), make_room()
    first, token = claim(REQUEST), ApiToken.usable_by(secret)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for model in (Room, VoiceSession, ApiToken):
        widen(model)
    assert claim(REQUEST).pk != first.pk
    assert ApiToken.usable_by(secret) == token


@pytest.mark.django_db
def test_the_log_of_queries_has_its_values():
    with CaptureQueriesContext(connection) as queries, prepared_cursor() as cursor:
        cursor.execute("SELECT %(word)s::text", {"word": "it's"})
    assert [query["sql"] for query in queries] == ["SELECT 'it''s'::text"]

"""Health: alive without the database; ready with the database and its migrations."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from breezebuddy.health import Readiness
from tests.project.test_standby import standby
from tests.support.api import get
from tests.support.make import make_pod


def test_health_asks_no_database():
    response = get("/health")  # without a database fixture, pytest-django refuses every query
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_probe_by_the_address_of_the_pod_is_answered_whatever_hosts_are_allowed(settings, client):
    settings.ALLOWED_HOSTS = ["pools.example.com"]
    by_address = {"HTTP_HOST": "10.0.3.7:8000"}
    assert client.get("/health", **by_address).status_code == 200
    assert client.get("/openapi.json", **by_address).status_code == 400


@pytest.mark.django_db
def test_a_service_with_a_live_pod_is_ready():
    make_pod()
    response = get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_service_without_a_live_pod_is_degraded_not_unready():
    make_pod(silent_for=60)
    response = get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "degraded", "reasons": ["no live pod"]})


@pytest.mark.django_db
def test_a_missing_migration_makes_it_unready_until_it_is_applied():
    make_pod()
    readiness = Readiness()
    recorder = MigrationRecorder(connection)
    ((app, newest),) = MigrationLoader(connection).graph.leaf_nodes("leads")
    recorder.record_unapplied(app, newest)
    status, body = readiness()
    assert (status, body["status"]) == (503, "unavailable")
    assert f"leads.{newest}" in body["detail"]
    recorder.record_applied(app, newest)
    assert readiness() == (200, {"status": "ok"})


@pytest.mark.django_db
def test_migrations_are_looked_at_only_until_all_are_applied(django_assert_num_queries):
    readiness = Readiness()
    readiness()
    with django_assert_num_queries(2):
        readiness()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_changes_makes_it_unready():
    make_pod()
    with standby():
        response = get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "detail": "the database is read-only"}
    assert get("/health/ready").status_code == 200, "it has connected anew"

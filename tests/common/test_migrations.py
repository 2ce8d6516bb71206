"""Migrations go forward on a database that is in use."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from leads.models import Lead, Template
from tests.support.make import make_session

FIRST = ("leads", "0001_initial")


@pytest.fixture
def at_the_first_version(transactional_db):
    """The tables of leads as they were; at the end they are as they are."""
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("leads")
    MigrationExecutor(connection).migrate([FIRST])
    try:
        yield lambda: MigrationExecutor(connection).migrate(latest)
    finally:
        MigrationExecutor(connection).migrate(latest)


def test_leads_of_the_first_version_keep_what_they_had_and_gain_what_was_known(at_the_first_version):
    apps = MigrationExecutor(connection).loader.project_state(FIRST).apps
    OldTemplate, OldLead = apps.get_model("leads", "Template"), apps.get_model("leads", "Lead")
    template = OldTemplate.objects.create(name="demo", reseller_id="acme", configurations={"prompt": "Hi"})
    session = make_session("active", transcript=[{"role": "bot", "content": "Hello"}])
    common = {"template": template, "reseller_id": "acme", "request_id": "order-1"}
    waiting = OldLead.objects.create(**common, payload={"a": 1})
    in_call = OldLead.objects.create(
        **common, status="PROCESSING", voice_session_id=session.pk, attempt_count=1, execution_mode="DAILY"
    )

    at_the_first_version()

    waiting, in_call = Lead.objects.get(pk=waiting.pk), Lead.objects.get(pk=in_call.pk)
    assert (waiting.payload, waiting.status, waiting.call_id, waiting.platform_status) == ({"a": 1}, "BACKLOG", "", "")
    assert (in_call.status, in_call.attempt_count, in_call.call_id) == ("PROCESSING", 0, session.room.name)
    assert (in_call.platform_status, in_call.platform_reason) == ("INITIATED", "WEB_SESSION")
    assert in_call.transcription == [{"role": "bot", "content": "Hello"}]
    assert (waiting.reporting_webhook_url, waiting.previous_attempt) == ("", None)
    template = Template.objects.get()
    assert (template.configurations, template.max_attempts, template.time_zone) == ({"prompt": "Hi"}, 1, "UTC")

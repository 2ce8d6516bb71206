"""Taking leads whose telephones are to be dialled: rows only, no telephone yet."""

import json
import threading
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from leads.models import ExecutionMode, Lead, LeadStatus, Template, WebhookDelivery
from leads.outcomes import session_ended
from leads.telephony.dialling import QUEUES, DiallingConfig, begin, begin_calls
from leads.telephony.dialling_plan import Reserve
from pools.guards import Guards
from pools.models import SessionStatus, VoiceSession
from pools.sessions.ending import NOT_STARTED, Result, end_session
from tests.support.make import (
    make_agent_process,
    make_daily_account,
    make_lead,
    make_pod,
    make_room,
    make_session,
    make_template,
)

pytestmark = pytest.mark.django_db

NUMBER = "+919876543210"
CONFIG = DiallingConfig(reserve=Reserve(0, 0), at_once=20, session_life=timedelta(seconds=600))


def make_call(template: Template | None = None, **values: Any) -> Lead:
    """A telephony lead that is due."""
    values = {"execution_mode": ExecutionMode.TELEPHONY, "payload": {"customer_mobile_number": NUMBER}, **values}
    values.setdefault("next_attempt_at", timezone.now() - timedelta(seconds=1))
    return make_lead(template=template or make_template(), **values)


def make_stock(pairs: int, **pod: Any) -> None:
    make_daily_account()
    row = make_pod(**pod)
    for _ in range(pairs):
        make_agent_process(row)
        make_room(pod=row)


def in_calls() -> int:
    return Lead.objects.filter(status=LeadStatus.PROCESSING).count()


def end(lead: Lead, reason: str) -> Lead:
    """The lead's session ends."""
    lead.refresh_from_db()
    assert lead.voice_session_id is not None
    end_session(lead.voice_session_id, Result(reason))
    lead.refresh_from_db()
    return lead


def dialled(lead: Lead, phone_session: str = "phone") -> None:
    Lead.objects.filter(pk=lead.pk).update(
        platform_status="INITIATED", platform_reason="DIALED", phone_session=phone_session
    )


class TestTaking:
    @pytest.mark.parametrize("mode", [ExecutionMode.TELEPHONY, ExecutionMode.TELEPHONY_TEST])
    def test_a_due_lead_gets_a_warm_pair_and_its_bot_is_told_the_lead(self, mode):
        make_stock(1)
        lead = make_call(execution_mode=mode)
        assert begin_calls(CONFIG, Guards())[0] == 1
        lead.refresh_from_db()
        session = lead.voice_session
        assert session is not None and session.outbound
        assert (session.status, session.start_kind, session.reference) == (SessionStatus.ASSIGNED, "warm", lead.uuid)
        assert session.body["payload"] == {"customer_mobile_number": NUMBER}
        assert (lead.status, lead.call_id, lead.platform_status) == ("PROCESSING", session.room.name, "")
        assert lead.call_initiated_time is None, "nothing has been dialled yet"

    def test_the_longest_due_goes_first_and_what_is_not_due_waits(self):
        make_stock(1)
        template = make_template()
        now = timezone.now()
        later = make_call(template, next_attempt_at=now + timedelta(seconds=30))
        second, first = (make_call(template, next_attempt_at=now - timedelta(seconds=s)) for s in (10, 20))
        assert begin_calls(CONFIG, Guards())[0] == 1
        statuses = [Lead.objects.get(pk=lead.pk).status for lead in (first, second, later)]
        assert statuses == ["PROCESSING", "BACKLOG", "BACKLOG"]
        Lead.objects.filter(pk=second.pk).delete()
        assert begin_calls(CONFIG, Guards())[1] == pytest.approx(30, abs=5)

    def test_web_leads_and_inactive_templates_are_left_alone(self):
        make_stock(2)
        make_call(execution_mode=ExecutionMode.DAILY)
        make_call(make_template(active=False))
        assert begin_calls(CONFIG, Guards()) == (0, float("inf"))

    def test_a_closed_window_is_waited_for(self):
        make_stock(1)
        now = datetime.now(ZoneInfo("Asia/Kolkata"))
        start, stop = ((now + timedelta(hours=hours)).time().replace(microsecond=0) for hours in (1, 2))
        template = make_template(calling_window_start=start, calling_window_end=stop, time_zone="Asia/Kolkata")
        make_call(template)
        begun, wait = begin_calls(CONFIG, Guards())
        assert begun == 0 and wait == pytest.approx(3600, abs=10)
        Template.objects.update(calling_window_start=stop, calling_window_end=start)
        assert begin_calls(CONFIG, Guards())[0] == 1

    @pytest.mark.parametrize("zone", ["Asia/Nowhere", "localtime", "right/Asia/Kolkata"])
    def test_a_template_whose_time_zone_nobody_knows_costs_only_its_own_calls(self, zone):
        make_stock(3)
        start, stop = time(0), time(23, 59, 59)
        unknown = make_template(calling_window_start=start, calling_window_end=stop, time_zone=zone)
        make_call(unknown)
        good = make_call(make_template(calling_window_start=start, calling_window_end=stop, time_zone="Asia/Calcutta"))
        guards = Guards()
        assert begin_calls(CONFIG, guards)[0] == 1
        assert Lead.objects.get(status=LeadStatus.PROCESSING) == good
        assert guards.trouble.startswith(f"dialling for template {unknown.pk} fails: UnknownTimeZone")

    def test_a_lead_that_cannot_be_given_to_a_bot_is_put_off_and_the_next_one_is_called(self, caplog):
        make_stock(3)
        bad = make_call(make_template(configurations=["not", "an", "object"]))
        good = make_call()
        assert begin_calls(CONFIG, Guards())[0] == 1
        bad.refresh_from_db()
        assert (bad.status, bad.next_attempt_at > timezone.now()) == (LeadStatus.BACKLOG, True)
        assert Lead.objects.get(status=LeadStatus.PROCESSING) == good and "event=lead_put_off" in caplog.text
        assert VoiceSession.objects.count() == 1, "the pair is not taken"

    def test_a_template_has_no_more_calls_than_it_allows(self):
        make_stock(5)
        small, large = make_template(max_concurrent_calls=1), make_template()
        for template in (small, small, large, large):
            make_call(template)
        assert begin_calls(CONFIG, Guards())[0] == 3
        assert Lead.objects.filter(template=small, status=LeadStatus.PROCESSING).count() == 1
        assert begin_calls(CONFIG, Guards())[0] == 0

    def test_without_a_warm_pair_nothing_is_taken_and_nobody_waits(self):
        make_stock(0)
        make_call()
        make_agent_process(make_pod())
        assert begin_calls(CONFIG, Guards())[0] == 0
        assert not VoiceSession.objects.exists()

    def test_a_pair_that_a_web_caller_has_taken_meanwhile_is_nobodys_fault(self):
        """The plan was for three."""
        make_stock(1)
        lead = make_call()
        make_room(life=1)  # counted by nobody: too near its end
        make_call(lead.template)
        assert begin([lead.template_id] * 3, CONFIG) == 1
        assert VoiceSession.objects.count() == 1

    def test_web_callers_keep_their_reserve_of_pairs_and_of_slots(self):
        make_stock(3, max_processes=10)
        for _ in range(5):
            make_call()
        assert begin_calls(DiallingConfig(Reserve(pairs=2, slots=0), 20, CONFIG.session_life), Guards())[0] == 1
        assert begin_calls(DiallingConfig(Reserve(pairs=2, slots=0), 20, CONFIG.session_life), Guards())[0] == 0
        assert begin_calls(DiallingConfig(Reserve(pairs=0, slots=8), 20, CONFIG.session_life), Guards())[0] == 1
        assert in_calls() == 2

    def test_no_more_are_taken_than_can_be_dialled_soon(self):
        make_stock(5)
        for _ in range(5):
            make_call()
        few = DiallingConfig(Reserve(0, 0), at_once=2, session_life=CONFIG.session_life)
        assert (begin_calls(few, Guards())[0], begin_calls(few, Guards())[0]) == (2, 0)
        dialled(Lead.objects.filter(status=LeadStatus.PROCESSING).first())  # type: ignore[arg-type]
        assert begin_calls(few, Guards())[0] == 1


class TestNumbers:
    def test_without_a_number_a_lead_stays_in_the_backlog_and_says_why(self, caplog):
        make_stock(1)
        template = make_template()
        without = make_call(template, payload={"customer_name": "Asha"})
        good = make_call(template)
        assert begin_calls(CONFIG, Guards())[0] == 1
        without.refresh_from_db()
        assert (without.status, without.platform_status, without.platform_reason) == (
            "BACKLOG",
            "NOT_INITIATED",
            "INVALID_PHONE",
        )
        assert Lead.objects.get(pk=good.pk).status == "PROCESSING"
        assert "event=lead_not_dialled" in caplog.text

    @pytest.mark.parametrize("number", ["98765", "+91 98765 43210", 919876543210, ["+919876543210"]])
    def test_a_number_that_cannot_be_dialled_ends_its_lead(self, number, caplog):
        make_stock(1)
        lead = make_call(
            payload={"customer_mobile_number": number}, reporting_webhook_url="https://hooks.example.com/lead"
        )
        assert begin_calls(CONFIG, Guards())[0] == 0
        lead.refresh_from_db()
        assert (lead.status, lead.outcome, lead.platform_status) == ("FINISHED", "INVALID_PHONE", "NOT_INITIATED")
        assert "98765" not in caplog.text
        told = json.loads(WebhookDelivery.objects.get(lead=lead).body)
        assert (told["outcome"], told["failureReason"]) == ("INVALID_PHONE", "INVALID_PHONE")


class TestEnds:
    def call(self, **template: Any) -> Lead:
        make_stock(1)
        lead = make_call(make_template(**template), request_id="order-7")
        assert begin_calls(CONFIG, Guards())[0] == 1
        return lead

    def test_an_answered_call_has_the_bots_word(self):
        lead = self.call(max_attempts=3)
        dialled(lead)
        VoiceSession.objects.update(caller_joined_at=timezone.now())
        lead.refresh_from_db()
        assert lead.voice_session_id is not None
        end_session(lead.voice_session_id, Result("caller_left", "SOLD", [{"role": "user"}]))
        lead.refresh_from_db()
        assert (lead.status, lead.outcome, lead.provider_status) == ("FINISHED", "SOLD", "ANSWERED")
        assert lead.transcription == [{"role": "user"}]
        assert Lead.objects.count() == 1, "who has answered is not called again"

    def test_a_call_that_nobody_answers_is_tried_again_as_its_template_says(self):
        lead = end_busy(self.call(max_attempts=2, retry_offset=600))
        assert (lead.outcome, lead.provider_reason, lead.provider_hangup_cause) == ("BUSY", "BUSY", "486 Busy Here")
        again = Lead.objects.get(previous_attempt=lead)
        assert (again.status, again.attempt_count, again.request_id) == ("BACKLOG", 1, "order-7")
        assert again.payload == lead.payload and again.template == lead.template
        assert (again.next_attempt_at - timezone.now()).total_seconds() == pytest.approx(600, abs=10)
        make_agent_process(make_pod())
        make_room()
        Lead.objects.filter(pk=again.pk).update(next_attempt_at=timezone.now())
        assert begin_calls(CONFIG, Guards())[0] == 1
        end_busy(again)
        assert Lead.objects.count() == 2, "two attempts are allowed"

    def test_a_dial_whose_outcome_nobody_knows_is_never_repeated(self):
        lead = self.call(max_attempts=5)
        dialled(lead, phone_session="")
        lead = end(lead, "caller_never_joined")
        assert (lead.outcome, lead.provider_status, lead.provider_reason) == ("UNKNOWN", "UNKNOWN", "")
        assert Lead.objects.count() == 1

    def test_a_late_report_completes_what_was_unknown(self):
        lead = self.call(max_attempts=2)
        dialled(lead)
        lead = end(lead, "supervisor_lost")
        assert lead.outcome == "UNKNOWN"
        session = lead.voice_session
        assert session is not None
        session.end_reason = "phone_no_answer"
        session_ended(session)
        session_ended(session)
        lead.refresh_from_db()
        assert (lead.outcome, lead.provider_status) == ("NO_ANSWER", "NOT_ANSWERED")
        assert Lead.objects.filter(previous_attempt=lead).count() == 1

    @pytest.mark.parametrize("reason", [NOT_STARTED, "agent_lost", "caller_never_joined"])
    def test_a_lead_whose_telephone_was_not_dialled_waits_for_another_session(self, reason):
        lead = end(self.call(), reason)
        assert (lead.status, lead.voice_session, lead.attempt_count) == ("BACKLOG", None, 0)
        assert lead.next_attempt_at > timezone.now() + timedelta(seconds=20)

    def test_a_call_that_was_never_made_is_not_tried_again_by_itself(self):
        lead = self.call(max_attempts=5)
        dialled(lead, phone_session="")
        lead = end(lead, "dial_refused")
        assert (lead.outcome, lead.platform_status, lead.provider_status) == ("PRECHECK_FAILED", "NOT_INITIATED", "")
        assert Lead.objects.count() == 1


def end_busy(lead: Lead) -> Lead:
    dialled(lead)
    lead.refresh_from_db()
    assert lead.voice_session_id is not None
    result = Result("phone_busy", detail={"hangup_cause": "486 Busy Here"})
    end_session(lead.voice_session_id, result)
    lead.refresh_from_db()
    return lead


@pytest.mark.django_db(transaction=True)
def test_pods_that_take_leads_at_once_keep_every_limit_together():
    make_stock(8)
    template, other = make_template(max_concurrent_calls=3), make_template()
    for _ in range(10):
        make_call(template)
        make_call(other)
    config = DiallingConfig(Reserve(pairs=2, slots=0), at_once=20, session_life=CONFIG.session_life)
    barrier = threading.Barrier(6)

    def pod() -> None:
        barrier.wait(10)
        try:
            begin_calls(config, Guards())
        finally:
            connection.close()

    threads = [threading.Thread(target=pod) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert in_calls() == 6
    assert Lead.objects.filter(template=template, status=LeadStatus.PROCESSING).count() == 3


def test_the_queues_are_read_from_their_indexes():
    over = {"status": LeadStatus.FINISHED}
    for template in (make_template(), make_template(), make_template()):
        for values in (over, over | {"execution_mode": "DAILY"}, {"execution_mode": "DAILY"}, {}):
            make_call(template, **values)
    kept = [str(field.column) for field in Lead._meta.concrete_fields if field.name not in ("id", "uuid")]
    names = ", ".join(kept)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO leads_lead (uuid, {names}) SELECT gen_random_uuid(), {names} FROM leads_lead,"  # noqa: S608
            " generate_series(1, CASE status WHEN 'FINISHED' THEN 500 ELSE 100 END)"
        )
        cursor.execute("ANALYZE leads_lead")
        cursor.execute(f"EXPLAIN {QUEUES}", [5])
        explained = "\n".join(row[0] for row in cursor.fetchall())
    assert "lead_to_dial" in explained and "lead_in_call" in explained, explained
    assert "Seq Scan on leads_lead" not in explained, explained


def test_a_session_that_is_to_end_has_its_telephone_not_dialled():
    session = make_session(outbound=True, bot_joined_at=timezone.now(), stop_reason="ended_by_operator")
    make_lead(LeadStatus.PROCESSING, voice_session=session, execution_mode=ExecutionMode.TELEPHONY)
    assert not Lead.objects.to_be_dialled().exists()

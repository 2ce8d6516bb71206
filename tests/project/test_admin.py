"""The admin: every model is there, what must not be seen is not, and no page asks a query a row."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from access.models import ApiToken, Profile, RateAllowance
from leads.models import Lead, LeadStatus, Template, WebhookDelivery
from pools.daily import budget
from pools.decisions.targets import Pool
from pools.models import DailyBudgetSlot, DailyRefusals, Pod, SeenDailyEvent, SessionStatus, VoiceSession
from pools.operators import overrides, rollout
from pools.sessions import counters
from pools.status.sampling import take_sample
from tests.support.make import (
    make_agent_process,
    make_daily_account,
    make_lead,
    make_pod,
    make_room,
    make_session,
    make_template,
    make_token,
    make_user,
)

pytestmark = pytest.mark.django_db

MODELS: list[Any] = [
    model
    for name in ("pools", "leads")
    for model in apps.get_app_config(name).get_models()
    if not model._meta.auto_created
]
EDITABLE = {Template, Profile}
PHONE = "+919876501234"


def page(model, what="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


def make_some_of_everything(silent=0.0):
    pod = make_pod(silent_for=silent, agent_trouble="import failed")
    make_agent_process(pod), make_agent_process(pod, "warming"), make_agent_process(pod, "ended")
    make_room(pod=pod, owner_token="owner-secret", guest_token="guest-secret"), make_room("warming"), make_room("ended")
    room = make_room("in_use", owner_token="owner-secret", guest_token="guest-secret", pod=pod)
    said = [{"role": "user", "content": f"my number is {PHONE}"}]
    body = {"payload": {"customer_mobile_number": PHONE}, "token": "meeting-secret"}
    active = make_session(pod=pod, room=room, body=body, transcript=said, detail={"caller": PHONE})
    make_session(SessionStatus.WAITING), make_session(SessionStatus.ASSIGNED, pod=pod)
    ended = make_session(SessionStatus.ENDED, pod=pod)
    template = make_template()
    hook = "https://hooks.example.com/lead?key=receiver-secret"
    payload = {"contact": PHONE, "reporting_webhook_url": hook}
    lead = make_lead(
        LeadStatus.PROCESSING,
        template=template,
        voice_session=active,
        payload=payload,
        reporting_webhook_url=hook,
        abort_reason=f"{PHONE} said no",
        provider_hangup_cause=f"486 {PHONE} is busy",
    )
    active.reference = lead.uuid
    active.save()
    make_lead(template=template), make_lead(LeadStatus.FINISHED, template=template, voice_session=ended)
    make_user("reseller", reseller_ids=["acme"])
    WebhookDelivery.objects.create(
        lead=lead,
        url=hook,
        host="hooks.example.com",
        body=json.dumps({"transcription": said}),
        give_up_at=datetime.now(UTC),
    )
    make_token(), make_token("merchant", merchant_ids=["m1"], reseller_ids=["acme"])


@pytest.fixture
def everything():
    make_daily_account(trouble="key refused")
    rollout.roll_out({"2.3": 10}, by="ann", ahead=True)
    DailyBudgetSlot.objects.create(group="general", slot=1, used=3)
    RateAllowance.objects.create(key="0" * 64)
    SeenDailyEvent.objects.create(event_id="met-end-1", type="meeting.ended")
    DailyRefusals.objects.create(minute=timezone.now(), number=2)
    make_some_of_everything()
    overrides.pause(Pool.ROOMS, by="ann")
    take_sample()
    counters.count_events(counters.Event.REAPED_POD, 1)
    counters.count_session(VoiceSession.objects.filter(status="ended").earliest("pk"))


def test_every_model_is_registered():
    assert set(MODELS) <= set(admin.site._registry)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_list_and_every_row_can_be_looked_at(model, everything, admin_client):
    changelist = admin_client.get(page(model))
    assert changelist.status_code == 200
    assert model.objects.exists()
    for row in model.objects.all():
        assert admin_client.get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_filter_and_the_search_work(model, everything, admin_client):
    registered = admin.site._registry[model]
    if registered.search_fields:
        assert admin_client.get(page(model), {"q": "acme 5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"}).status_code == 200
    content = admin_client.get(page(model)).content.decode()
    for query in set(re.findall(r'href="(\?[^"]+)"', content)):
        assert admin_client.get(page(model) + query.replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize(
    "model", sorted(set(MODELS) - EDITABLE - {ApiToken}, key=str), ids=lambda model: model.__name__
)
def test_what_the_service_writes_cannot_be_changed(model, everything, admin_client):
    row = model.objects.first()
    assert admin_client.get(page(model, "add")).status_code == 403
    assert admin_client.post(page(model, "change", row.pk), {}).status_code == 403
    assert admin_client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    admin_client.post(page(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model.objects.filter(pk=row.pk).exists()


def test_no_secret_and_no_whole_phone_number_is_on_any_page(everything, admin_client):
    digests = list(ApiToken.objects.values_list("digest", flat=True))
    for model in MODELS:
        addresses = [page(model), *(page(model, "change", row.pk) for row in model.objects.all())]
        for address in addresses:
            content = admin_client.get(address).content.decode()
            for secret in [
                "owner-secret",
                "guest-secret",
                "meeting-secret",
                "receiver-secret",
                PHONE,
                PHONE[1:],
                *digests,
            ]:
                assert secret not in content, (address, secret)
    shown = admin_client.get(page(Lead, "change", Lead.objects.earliest("pk").pk))
    assert "+91******1234" in shown.content.decode()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(model, everything, admin_client):
    admin_client.get(page(model))  # content types are remembered from the first page on
    with CaptureQueriesContext(connection) as few:
        admin_client.get(page(model))
    for _ in range(5):
        make_some_of_everything()
    with CaptureQueriesContext(connection) as many:
        admin_client.get(page(model))
    assert len(many) == len(few), [query["sql"] for query in many]


def test_session_room_process_and_lead_link_to_each_other(everything, admin_client):
    lead: Any = Lead.objects.get(status="PROCESSING")
    session = lead.voice_session
    content = admin_client.get(page(VoiceSession, "change", session.pk)).content.decode()
    for target in (session.room, session.agent_process, session.agent_process.pod):
        assert page(type(target), "change", target.pk) in content
    assert f"{page(Lead)}?q={lead.uuid}" in content
    for other in (session.room, session.agent_process, lead):
        assert (
            page(VoiceSession, "change", session.pk)
            in admin_client.get(page(type(other), "change", other.pk)).content.decode()
        )
    assert lead.request_id in admin_client.get(f"{page(Lead)}?q={lead.uuid}").content.decode()


def test_a_pod_shows_its_state_and_the_age_of_its_heartbeat(admin_client):
    make_pod("alive"), make_pod("leaving", draining=True), make_pod("quiet", silent_for=3600)
    content = admin_client.get(page(Pod)).content.decode()
    for text in ("live", "draining", "silent", "60 min ago", "0 of 3 available, 0 warming, 0 in use"):
        assert text in content


def test_a_template_can_be_made_and_edited(admin_client):
    values = {"name": "greeting", "reseller_id": "acme", "merchant_id": "", "active": "on", "configurations": "{}"}
    values |= {"initial_offset": "0", "max_attempts": "3", "retry_offset": "900", "time_zone": "Asia/Kolkata"}
    assert admin_client.post(page(Template, "add"), values).status_code == 302
    template = Template.objects.get()
    values["configurations"] = '{"prompt": "Hi"}'
    assert admin_client.post(page(Template, "change", template.pk), values).status_code == 302
    template.refresh_from_db()
    assert template.configurations == {"prompt": "Hi"}


def test_the_forms_begin_empty_and_in_the_theme(admin_client):
    """No role is given by leaving a form as it is; what is not stored yet has no id and no times."""
    for model, names in ((ApiToken, ["reseller_ids", "merchant_ids", "days"]), (Profile, ["merchant_ids"])):
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        form = admin_client.get(address).context["adminform"].form
        assert form.initial.get("role") is None
        assert next(iter(form.fields["role"].choices))[0] == ""
        assert all("border" in form.fields[name].widget.attrs["class"] for name in names)
    page = admin_client.get(reverse("admin:leads_template_add"))
    text = page.content.decode()
    assert "DatabaseDefault" not in text and "Created at" not in text and ">null<" not in text
    assert "border" in page.context["adminform"].form.fields["configurations"].widget.attrs["class"]


def test_moments_are_written_as_in_the_logs_and_names_as_they_are(admin_client):
    pod = make_pod("vm")
    page = admin_client.get(reverse("admin:pools_pod_change", args=[pod.pk])).content.decode()
    assert f"{pod.started_at:%Y-%m-%d %H:%M:%S} UTC" in page
    assert "Vm" not in page


def test_the_budget_of_daily_is_shown_with_its_time_and_limit(admin_client):
    budget.take(budget.Group.DELETE, budget.Priority.ON_DEMAND)
    page = admin_client.get(reverse("admin:pools_dailybudgetslot_changelist")).content.decode()
    assert "45 in 30 s" in page
    assert f"{timezone.now():%Y-%m-%d %H:}" in page


def test_a_template_says_what_payloads_must_be(admin_client):
    template = make_template(expected_payload_schema=None)
    address = page(Template, "change", template.pk)
    fields = {"name", "reseller_id", "initial_offset", "max_attempts", "retry_offset", "time_zone"}
    form = {name: getattr(template, name) for name in fields} | {"active": "on", "configurations": "{}"}
    schema = {"type": "object", "required": ["customer_name"]}
    assert 'name="expected_payload_schema"' in admin_client.get(address).content.decode()
    for typed, stored in ((json.dumps(schema), schema), ("{}", {}), ("", None), (json.dumps(schema), schema)):
        assert admin_client.post(address, form | {"expected_payload_schema": typed}).status_code == 302
        template.refresh_from_db()
        assert template.expected_payload_schema == stored
    refused = admin_client.post(address, form | {"expected_payload_schema": '{"type": "objekt"}'})
    assert "is no usable JSON Schema" in refused.content.decode()
    assert "objekt" in refused.content.decode()  # what was typed is still there
    template.refresh_from_db()
    assert template.expected_payload_schema == schema


def test_a_template_that_leads_were_made_from_cannot_be_deleted(admin_client):
    template = make_lead().template
    assert admin_client.post(page(Template, "delete", template.pk), {"post": "yes"}).status_code == 200
    assert Template.objects.filter(pk=template.pk).exists()


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x\x00y"},
        {"configurations": "{"},
        {"configurations": '{"a": "\\u0000"}'},
        {"name": ""},
        {"configurations": '{"a": NaN}'},
        {"configurations": '{"a": 1e999}'},
        {"configurations": "[]"},
        {"configurations": "1"},
        {"configurations": '{"a": "\\ud800"}'},
        {"configurations": "[" * 9999},
        {"expected_payload_schema": "{"},
        {"expected_payload_schema": "[]"},
        {"expected_payload_schema": "null"},
        {"expected_payload_schema": '{"type": "objekt"}'},
        {"expected_payload_schema": '{"$ref": "https://example.com/schema"}'},
    ],
)
def test_a_template_that_cannot_be_stored_is_refused_in_the_form(values, admin_client):
    form = {"name": "greeting", "reseller_id": "acme", "merchant_id": "", "active": "on", "configurations": "{}"}
    admin_client.raise_request_exception = False
    response = admin_client.post(page(Template, "add"), form | values)
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()


def test_a_new_token_is_shown_once(admin_client):
    form = {"name": "crm", "role": "merchant", "reseller_ids": "acme", "merchant_ids": "m1, m2", "days": "7"}
    response = admin_client.post(page(ApiToken, "add"), form, follow=True)
    (secret,) = re.findall(r"bb_[\w-]{43}", response.content.decode())
    token = ApiToken.objects.get()
    assert token.digest == ApiToken.digest_of(secret)
    assert (token.name, token.reseller_ids, token.merchant_ids) == ("crm", ["acme"], ["m1", "m2"])
    assert token.expires_at is not None
    for address in (page(ApiToken), page(ApiToken, "change", token.pk), page(ApiToken, "history", token.pk)):
        assert secret not in admin_client.get(address).content.decode()


@pytest.mark.parametrize(
    "form",
    [
        {"role": "reseller"},
        {"role": "merchant", "reseller_ids": "acme"},
        {"role": "admin", "merchant_ids": "m1"},
        {"role": "boss"},
        {"role": "admin", "days": "0"},
    ],
)
def test_a_token_whose_ids_do_not_fit_its_role_is_refused(form, admin_client):
    response = admin_client.post(page(ApiToken, "add"), {"name": "crm", "reseller_ids": "", "merchant_ids": ""} | form)
    assert response.status_code == 200
    assert not ApiToken.objects.exists()


def test_tokens_are_revoked_by_an_action(admin_client):
    token, other = make_token()[0], make_token()[0]
    admin_client.post(page(ApiToken), {"action": "revoke", "_selected_action": [token.pk]})
    assert list(ApiToken.objects.usable()) == [other]


def test_who_may_only_look_at_tokens_cannot_revoke_them(client):
    user = User.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_apitoken"))
    client.force_login(user)
    token, _ = make_token()
    assert client.get(page(ApiToken)).status_code == 200
    client.post(page(ApiToken), {"action": "revoke", "_selected_action": [token.pk]})
    assert list(ApiToken.objects.usable()) == [token]


def test_the_admin_asks_for_its_own_login(client):
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/").status_code == 200


def test_an_event_that_is_over_can_be_sent_again(everything, admin_client):
    delivery = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(status="given_up", ended_at=datetime.now(UTC), attempts=7)
    chosen = {"action": "resend", "_selected_action": [delivery.pk]}
    assert admin_client.post(page(WebhookDelivery), chosen).status_code == 302
    delivery.refresh_from_db()
    assert (delivery.status, delivery.ended_at) == ("pending", None)
    assert delivery.give_up_at > datetime.now(UTC)

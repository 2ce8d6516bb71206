"""Who may steer from the admin, what overrides and verbs do there, and what is refused."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from pools.dashboard.verbs import VERBS
from pools.decisions.targets import Pool
from pools.models import AgentProcess, OperatorAction, Pod, PoolOverride, Room, VoiceSession
from pools.operators import overrides, rollout
from tests.support.dashboard import LIVE, live, looking, make_user
from tests.support.make import make_agent_process, make_pod, make_room, make_session

pytestmark = pytest.mark.django_db
SOON = f"{timezone.now() + timedelta(days=30):%Y-%m-%dT%H:%M}"


def rows_for_each_verb():
    pod = make_pod()
    session = make_session(pod=pod)
    return {
        "drain": make_pod(),
        "uncordon": make_pod(draining=True, drained_by="ann"),
        "retire": make_room(pod=pod),
        "recycle": make_agent_process(pod),
        "end-session": session,
        "cancel": overrides.pause(Pool.ROOMS, by="ann"),
        "roll-back": rollout.roll_out({pod.version: 50}, by="ann"),
    }


def test_who_may_only_look_is_shown_no_verb_and_refused_each(client):
    rows = rows_for_each_verb()
    assert set(rows) == set(VERBS)
    client.force_login(looking())
    assert all(pod["verbs"] == [] for pod in live(client)["pods"])
    for name, row in rows.items():
        verb = VERBS[name]
        address = reverse(f"admin:pools_{verb.model._meta.model_name}_changelist")
        page = client.get(address)
        assert page.status_code == 200 and 'name="action"' not in page.content.decode()
        detail = client.get(reverse(f"admin:pools_{verb.model._meta.model_name}_change", args=[row.pk]))
        assert detail.status_code == 200 and "/admin/steer/" not in detail.content.decode()
        client.post(address, {"action": name, "_selected_action": [row.pk]})
        assert client.get(verb.url([row.pk])).status_code == 403
        assert client.post(verb.url([row.pk]), {"ids": row.pk}).status_code == 403
    assert not Pod.objects.drained_by_operator().exclude(pk=rows["uncordon"].pk).exists()
    assert not Room.objects.filter(retiring=True).exists() and not AgentProcess.objects.filter(retiring=True).exists()
    assert VoiceSession.objects.get(pk=rows["end-session"].pk).stop_reason == ""
    assert PoolOverride.objects.standing().count() == 1
    assert not LogEntry.objects.exists()
    assert client.get("/admin/override/pause/").status_code == client.post("/admin/override/size/").status_code == 403


@pytest.mark.parametrize(
    ("action", "form", "given"),
    [
        ("pause", {"pool": "rooms", "reason": "Daily changes its limits"}, "pause rooms on all pods"),
        ("size", {"pool": "agents", "size": "2", "pod": "pool-a", "minutes": "30"}, "size processes 2 on pool-a"),
        ("reserve", {"pairs": "3", "starts_at": SOON, "minutes": "20"}, "reserve 3 pairs"),
    ],
)
def test_overrides_are_set_and_logged(action, form, given, admin_client, admin_user):
    make_pod("pool-a")
    assert admin_client.get(f"/admin/override/{action}/").status_code == 200
    asked = admin_client.post(f"/admin/override/{action}/", form)
    if action == "pause":  # of all pods
        assert asked.status_code == 200 and not PoolOverride.objects.exists()
        asked = admin_client.post(f"/admin/override/{action}/", form | {"confirmed": asked.context["warning"]})
    assert asked.status_code == 302
    override = PoolOverride.objects.get()
    assert (str(override), override.ordered_by) == (given, admin_user.username)
    assert LogEntry.objects.get().object_repr == given
    assert [shown["what"] for shown in live(admin_client)["overrides"]] == [given]


@pytest.mark.parametrize(
    ("action", "form", "why"),
    [
        ("size", {"pool": "agents", "size": "9"}, "can hold 3 agent processes, not 9"),
        ("size", {"pool": "agents", "size": "-1"}, "greater than or equal to 0"),
        ("pause", {"pool": "phones"}, "not one of the available choices"),
        ("pause", {"pool": "rooms", "pod": "nobody"}, "not one of the available choices"),
        ("reserve", {"pairs": "60", "starts_at": SOON, "minutes": "20"}, "short by"),
        ("reserve", {"pairs": "1", "starts_at": "2130-01-02T10:00", "minutes": "20"}, "within a year"),
        ("roll-out", {"shares": "9.9=10%"}, "To say it before its pods start: switch Ahead on"),
        ("size", {"pool": "agents", "size": "0"}, "With size 0, all pods keep nothing ready"),
        ("pause", {"pool": "agents", "confirmed": "yes"}, "All pods stop filling this pool"),
        ("reserve", {"pairs": "1", "starts_at": "1999-01-02T10:00", "minutes": "20"}, "in the future"),
    ],
)
def test_an_override_that_cannot_be_obeyed_is_refused_with_what_can(action, form, why, admin_client):
    make_pod()
    page = admin_client.post(f"/admin/override/{action}/", form)
    assert page.status_code == 200 and why in page.content.decode()
    assert not PoolOverride.objects.exists() and not LogEntry.objects.exists()


def test_the_forms_that_caps_bound_show_size_target_and_cap_with_the_setting(admin_client):
    make_pod("pool-a", agent_size=2, agent_target=3, agent_cap=6, room_size=4, room_target=5, room_cap=10)
    for action in ("size", "reserve"):
        content = admin_client.get(f"/admin/override/{action}/").content.decode()
        assert "pool-a: agent processes size 2, target 3, cap 6 (VOICE_AGENT_MAX_POOL_SIZE)" in content
        assert "pool-a: rooms size 4, target 5, cap 10 (DAILY_ROOM_MAX_POOL_SIZE)" in content
    assert "cap 6" not in admin_client.get("/admin/override/pause/").content.decode()


def test_each_verb_is_done_once_and_logged(admin_client, admin_user):
    for name, row in rows_for_each_verb().items():
        verb = VERBS[name]
        assert admin_client.get(verb.url([row.pk])).status_code == 200
        assert not LogEntry.objects.filter(object_repr=str(row)).exists(), "asking does nothing"
        for _ in range(2):  # the second time there is nothing left to do
            assert admin_client.post(verb.url([row.pk]), {"ids": row.pk, "reason": "test"}).status_code == 302
        entry = LogEntry.objects.get(object_repr=str(row))
        assert (entry.user, entry.get_change_message()) == (admin_user, f"{verb.done}: test")
        assert timezone.now() - entry.action_time < timedelta(minutes=5)


@pytest.mark.parametrize("ids", ["", "x", "99999999999", "1;2", "-1"])
def test_rows_that_are_not_there_are_not_found(ids, admin_client):
    assert admin_client.get("/admin/steer/drain/", {"ids": ids}).status_code == 404
    assert admin_client.get("/admin/steer/explode/", {"ids": "1"}).status_code == 404


def test_steering_from_a_terminal_is_in_the_operators_actions(admin_client):
    pod = make_pod("pool-a")
    call_command("pools", "pause", "rooms", "--why", "maintenance")
    call_command("pools", "resume", "rooms")
    call_command("pools", "drain", "pool-a")
    make_agent_process(pod)
    call_command("pools", "recycle", "processes")
    actions = [(action.what, action.reason) for action in OperatorAction.objects.order_by("id")]
    assert actions == [
        ("override: pause rooms on all pods", "maintenance"),
        ("cancel: pause rooms on all pods", ""),
        ("drain pod pool-a", ""),
        ("recycle 1 agent process", ""),
    ]
    assert all("@" in action.by for action in OperatorAction.objects.all())
    assert "drain pod pool-a" in admin_client.get(reverse("admin:pools_operatoraction_changelist")).content.decode()


def test_the_page_of_an_override_writes_its_end_as_it_writes_its_begin(admin_client):
    override = overrides.pause(Pool.ROOMS, until=timezone.now() + timedelta(minutes=5), by="ann")
    page = admin_client.get(reverse("admin:pools_pooloverride_change", args=[override.pk])).content.decode()
    assert f"{override.ends_at:%Y-%m-%d %H:%M:%S} UTC" in page and "+00:00" not in page


@pytest.mark.parametrize("name", VERBS)
def test_who_is_asked_has_one_button_that_does_it_and_another_that_does_not(name, admin_client):
    verb = VERBS[name]
    page = admin_client.get(verb.url([rows_for_each_verb()[name].pk])).content.decode()
    assert len(re.findall(rf">\s*{verb.label}\s*</(?:a|button)>", page)) == 1
    assert len(re.findall(r">\s*Do nothing\s*</a>", page)) == 1


def test_the_way_back_is_never_an_address_of_the_request(admin_client):
    pod = make_pod()
    answer = admin_client.post("/admin/steer/drain/", {"ids": pod.pk, "back": "https://elsewhere.example/"})
    assert answer["Location"] == reverse("admin:pools_pod_changelist")


def test_without_permission_to_see_pods_there_is_no_dashboard(client):
    client.force_login(make_user("view_lead"))
    assert client.get(LIVE).status_code == 403
    page = client.get("/admin/")
    assert page.status_code == 200 and "dashboard.js" not in page.content.decode()


def test_strangers_are_asked_to_log_in(client):
    assert client.get(LIVE)["Location"].startswith("/admin/login/")
    assert client.get("/admin/steer/drain/?ids=1")["Location"].startswith("/admin/login/")

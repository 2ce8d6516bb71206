"""Operators roll out and back: in the terminal and in the admin, with what is refused and who may."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError
from django.urls import reverse

from pools.dashboard.verbs import VERBS
from pools.models import OperatorAction, Rollout
from pools.operators import rollout
from pools.operators.rollout import live_versions, roll_out
from tests.pools.test_pools_command import pools as pools_command
from tests.support.rollouts import NEW, OLD, two_versions

# --- the terminal ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_terminal_rolls_out_tells_and_rolls_back(capsys):
    two_versions()
    code, text, _ = pools_command(capsys, "rollout", "2.3=10%", "--why", "canary")
    assert code == 0 and text.startswith("Rolled out: 2.3 10 %, the others 90 %. Back: manage.py pools rollout --back")
    code, text, _ = pools_command(capsys, "rollout")
    assert code == 0 and text.startswith("Roll-out: 2.3 10 %, the others 90 %; by ") and "(canary)" in text
    assert [line.split()[:2] for line in text.splitlines()[-2:]] == [["2.2", "1"], ["2.3", "1"]]
    _, text, _ = pools_command(capsys, "rollout", "--json")
    told = json.loads(text)
    assert told["rollout"]["shares"] == {"2.3": 10.0}
    assert [(version["version"], version["wanted_percent"]) for version in told["versions"]] == [
        ("2.2", 90.0),
        ("2.3", 10.0),
    ]
    _, text, _ = pools_command(capsys, "status")
    assert "Roll-out: 2.3 10 %, the others 90 %, by " in text
    _, text, _ = pools_command(capsys, "status", "--json")
    assert json.loads(text)["rollout"]["words"] == "2.3 10 %, the others 90 %"
    code, text, _ = pools_command(capsys, "rollout", "--back")
    assert code == 0 and text.startswith("Rolled back: 2.3 10 %, the others 90 %. Now: no preference.")
    code, _, notes = pools_command(capsys, "rollout", "--back")
    assert code == 1 and "No roll-out stands" in notes
    code, text, _ = pools_command(capsys, "rollout", "--off")
    assert code == 0 and "No roll-out stands" in text
    assert Rollout.objects.count() == 1


@pytest.mark.django_db
def test_the_terminal_refuses_what_cannot_be(capsys):
    two_versions()
    code, _, notes = pools_command(capsys, "rollout", "2.4=10%")
    assert code == 1 and "no live pod runs version 2.4; live: 2.2, 2.3" in notes
    for arguments, problem in (
        (["2.3=101%"], "from 0 to 100"),
        (["2.3=60", "2.2=60"], "together"),
        (["2.3=1", "--back"], "either shares"),
    ):
        with pytest.raises(CommandError, match=problem) as refusal:
            pools_command(capsys, "rollout", *arguments)
        assert refusal.value.returncode == 2
    assert live_versions() == {NEW: 1, OLD: 1} and not Rollout.objects.exists()


# --- the admin ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_admin_rolls_out_with_a_reason_and_back_after_a_question_and_both_are_in_the_log(admin_client):
    two_versions()
    page = reverse("admin:override", args=["roll-out"])
    assert "such as 2.3=10%" in admin_client.get(page).content.decode()
    refused = admin_client.post(page, {"shares": "2.4=10%", "reason": ""})
    assert "no live pod runs version 2.4; live: 2.2, 2.3" in refused.content.decode()
    refused = admin_client.post(page, {"shares": "2.3=60% 2.2=60%"})
    assert "together the shares are 120 %" in refused.content.decode() and not Rollout.objects.exists()
    admin_client.post(page, {"shares": "2.3=10%", "reason": "canary"})
    live = admin_client.get(reverse("admin:live")).json()
    assert (live["rollout"]["words"], live["rollout"]["by"]) == ("2.3 10 %, the others 90 %", "admin")
    assert [(version["version"], version["wanted_percent"]) for version in live["versions"]] == [
        (OLD, 90.0),
        (NEW, 10.0),
    ]
    listed = admin_client.get(reverse("admin:pools_rollout_changelist")).content.decode()
    assert "in force" in listed and "Versions of the bot" in listed
    back = live["rollout"]["back_url"]
    assert "Roll back 1 roll-out?" in admin_client.get(back).content.decode() and rollout.standing() is not None
    admin_client.post(back, {"reason": "it stutters"})
    assert rollout.standing() is None
    assert sorted(LogEntry.objects.values_list("change_message", flat=True)) == [
        "rolled back: it stutters",
        "set: canary",
    ]
    assert OperatorAction.objects.filter(by="admin").count() == 2


@pytest.mark.django_db
def test_only_the_roll_out_in_force_can_be_rolled_back(admin_client):
    two_versions()
    earlier, latest = roll_out({NEW: 10}, by="ann"), roll_out({NEW: 50}, by="ann")
    admin_client.post(VERBS["roll-back"].url([earlier.pk]))
    assert rollout.standing() == latest


@pytest.mark.django_db
def test_who_may_only_look_is_offered_neither_and_gets_neither(client):
    two_versions()
    made = roll_out({NEW: 10}, by="ann")
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)
    assert client.get(reverse("admin:live")).json()["rollout"]["back_url"] is None
    assert client.get(reverse("admin:override", args=["roll-out"])).status_code == 403
    assert client.post(VERBS["roll-back"].url([made.pk])).status_code == 403
    assert "Roll out a version" not in client.get(reverse("admin:pools_rollout_changelist")).content.decode()

"""seeddemo: a development database gets what `make run` and `make demo` need, again and again the same."""

import json

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command

from access.models import ApiToken
from leads.models import Template
from tests.support.api import LEADS, lead_body, post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def development(settings):
    settings.DATABASE_URL = ""


@pytest.fixture
def seed(capsys, tmp_path):
    file = tmp_path / "dev.json"

    def run(earlier=None):
        """As `make run` does: what an earlier run has printed is in the file, or what stands in its place."""
        if earlier is not None:
            file.write_text(earlier)
        call_command("seeddemo", "--from", str(file))
        file.write_text(capsys.readouterr().out)
        return json.loads(file.read_text())

    return run


def test_it_makes_a_template_a_token_and_an_administrator_that_work(seed):
    values = seed()
    assert set(values) == {"token", "admin_user", "admin_password"}
    body = lead_body(reseller_id="demo", merchant_id="demo")
    assert post(LEADS, body, {"Authorization": f"Bearer {values['token']}"}).status_code == 201
    user = authenticate(username=values["admin_user"], password=values["admin_password"])
    assert user and user.is_superuser and user.is_staff
    assert {"prompt", "first_message"} <= set(Template.objects.get().configurations)


def test_running_it_again_changes_nothing_that_works(seed):
    assert seed() == seed()
    assert (Template.objects.count(), ApiToken.objects.count(), get_user_model().objects.count()) == (1, 1, 1)


def test_it_keeps_a_template_that_somebody_has_edited(seed):
    seed()
    Template.objects.update(configurations={"prompt": "mine"})
    seed()
    assert Template.objects.get().configurations == {"prompt": "mine"}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"token": 1, "admin_password": null}', '{"token": "\\ud800"}'])
def test_what_no_longer_works_is_replaced_and_the_lost_token_revoked(seed, content):
    before = seed()
    after = seed(content)
    assert before["token"] != after["token"] and before["admin_password"] != after["admin_password"]
    assert ApiToken.objects.usable().get().digest == ApiToken.digest_of(after["token"])
    assert authenticate(username="admin", password=after["admin_password"])
    assert not authenticate(username="admin", password=before["admin_password"])


def test_it_refuses_a_database_that_may_be_production(settings):
    settings.DATABASE_URL = "postgres://production"
    with pytest.raises(CommandError, match="DATABASE_URL is set"):
        call_command("seeddemo")
    assert not get_user_model().objects.exists() and not ApiToken.objects.exists()
    call_command("seeddemo", "--force")
    assert get_user_model().objects.exists()

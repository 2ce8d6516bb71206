"""What an address of the admin may ask: what a filter of the list offers, with values that the database can take."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from tests.support.make import make_lead, make_session, make_user

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model.__name__)
JUNK = {"NUL": "\x00", "number": "9" * 20, "pattern": "(", "date": "9999-12-31 23:59:59-23:59", "words": "not a value"}
COMPLETE = {"app_label": "access", "model_name": "profile", "field_name": "user", "term": "ann"}


def list_of(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def offered(model):
    """The names that the filters of a model's list take."""
    filters: Any = admin.site._registry[model].list_filter
    for each in filters:  # classes, names and pairs
        if not isinstance(each, str | tuple):
            yield each.parameter_name
        else:
            name = each if isinstance(each, str) else each[0]
            yield from (name + lookup for lookup in ("", "__exact", "__gte", "__isnull", "__isempty", "__id__exact"))


@pytest.fixture
def viewer(client):
    """Somebody who may look at everything and change nothing."""
    user = User.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_list_filters_by_nothing_that_no_filter_offers(model, viewer):
    free = {name.partition("__")[0] for name in offered(model)}
    for field in model._meta.fields:
        lookup = "regex" if field.name in free else "startswith"
        assert viewer.get(list_of(model), {f"{field.name}__{lookup}": "1"}).status_code == 400, field.name


@pytest.mark.parametrize(
    "model", [model for model in MODELS if admin.site._registry[model].list_filter], ids=lambda model: model.__name__
)
def test_a_filter_ignores_or_refuses_what_is_no_value(model, viewer):
    for name in offered(model):
        if viewer.get(list_of(model), {name: JUNK["words"]}).status_code == 400:
            continue  # no lookup of this filter
        for what in ("number", "date"):
            assert viewer.get(list_of(model), {name: JUNK[what]}).status_code in (200, 302), (name, what)
    assert viewer.get(list_of(model), {name: JUNK["NUL"]}).status_code == 400


def test_masked_values_cannot_be_guessed_letter_by_letter(viewer):
    secret = {"eulerToken": "euler-secret", "customer_mobile_number": "+919876501234"}
    make_session(body=secret), make_lead(payload=secret)
    for app, field in (("pools_voicesession", "body"), ("leads_lead", "payload")):
        address = reverse(f"admin:{app}_changelist")
        for guess in ("euler-s", "wrong"):
            for lookup in (f"{field}__eulerToken__startswith", f"{field}__icontains"):
                assert viewer.get(address, {lookup: guess}).status_code == 400
    for lookup in ("password__startswith", "user__password__startswith", "profile__user__password__startswith"):
        for app in ("auth_user", "access_profile", "access_apitoken"):
            assert viewer.get(reverse(f"admin:{app}_changelist"), {lookup: "pbkdf2"}).status_code in (302, 400)


@pytest.mark.parametrize("name", ["q", "o", "p", "all", "e", "_to_field", "_popup", "_facets", "nothing", "a__b"])
def test_what_a_list_knows_besides_filters_is_no_error_either(name, viewer):
    make_lead()
    for value in JUNK.values():
        for app in ("leads_lead", "pools_voicesession", "auth_user"):
            assert viewer.get(reverse(f"admin:{app}_changelist"), {name: value}).status_code in (200, 302, 400), value


def test_addresses_of_rows_and_of_orders_take_no_nul(viewer, admin_client):
    admin_client.raise_request_exception = False
    for address in ("/admin/leads/lead/%00/change/", "/admin/access/rateallowance/%00/history/", "/admin/?span=%00"):
        assert viewer.get(address).status_code in (302, 400, 404), address
    for address in (
        "/admin/steer/drain/?ids=%00",
        "/admin/order/resize/?pool=%00&size=x",
        "/admin/order/roll_out/?a=%00",
    ):
        assert admin_client.get(address).status_code in (400, 404), address


def test_completion_takes_fields_that_a_form_completes_and_terms_without_nul(admin_client):
    admin_client.raise_request_exception = False
    make_user("reseller", username="ann@example.com", reseller_ids=["acme"])

    def ask(**changed):
        return admin_client.get(f"/admin/autocomplete/?{urlencode(COMPLETE | changed)}")

    assert [found["text"] for found in ask().json()["results"]] == ["ann@example.com"]
    assert ask(term="\x00").status_code == 400
    for page in ("0", "9" * 30, "(", "last"):
        assert ask(page=page).status_code in (200, 404)
    for other in (
        ("auth", "user", "profile"),
        ("leads", "lead", "template"),
        ("admin", "logentry", "user"),
        ("", "", ""),
    ):
        asked = dict(zip(("app_label", "model_name", "field_name"), other, strict=True))
        assert ask(**asked).status_code == 403, other

"""Leads (read-only), templates (edited here) and API tokens (made and revoked here)."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from breezebuddy import strict_json
from breezebuddy.admin_columns import ReadOnlyAdmin, json_block, link, search_link, short
from breezebuddy.durations import NONE, since
from breezebuddy.errors import ShapeError
from leads.models import ApiToken, Lead, LeadStatus, Template


class ConfigurationsField(forms.JSONField):
    """A JSON object, as strict as the API: what is stored here is sent to bots."""

    def to_python(self, value: Any) -> Any:
        try:
            parsed = strict_json.loads((value or "{}").encode())
        except ShapeError as error:
            where = " > ".join(map(str, error.loc[1:]))
            raise forms.ValidationError(f"{where}: {error.msg}" if where else error.msg) from None
        if not isinstance(parsed, dict):
            raise forms.ValidationError("must be an object")
        return parsed

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Show what was typed, whether it is JSON or not."""
        return InvalidJSONInput(data)


class TemplateForm(forms.ModelForm):
    configurations = ConfigurationsField(required=False, help_text="Given to the bot with the payload.")

    class Meta:
        model = Template
        fields = ["name", "reseller_id", "merchant_id", "active", "configurations"]


@admin.register(Template)
class TemplateAdmin(admin.ModelAdmin):
    form = TemplateForm
    list_display = ["name", "reseller_id", "merchant_id", "active", "updated_at", "see_leads"]
    list_filter = ["active", "reseller_id"]
    search_fields = ["name", "uuid", "reseller_id", "merchant_id"]
    fields = ["name", "uuid", "reseller_id", "merchant_id", "active", "configurations", "created_at", "updated_at"]
    readonly_fields = ["uuid", "created_at", "updated_at"]

    @admin.display(description="leads")
    def see_leads(self, template: Template) -> SafeString:
        return search_link("leads_lead", template.uuid, "leads")


@admin.register(Lead)
class LeadAdmin(ReadOnlyAdmin):
    list_display = [
        "short_id",
        "request_id",
        "status",
        "in_status_for",
        "outcome",
        "execution_mode",
        "reseller_id",
        "merchant_id",
        "template_link",
        "session_link",
        "attempt_count",
        "created_at",
    ]
    list_filter = ["status", "execution_mode", "is_playground", "outcome", "created_at"]
    list_select_related = ["template", "voice_session"]
    search_fields = ["uuid", "request_id", "reseller_id", "merchant_id", "template__name", "template__uuid"]
    fields = [
        "uuid",
        "request_id",
        "status",
        "in_status_for",
        "outcome",
        "execution_mode",
        "reseller_id",
        "merchant_id",
        "template_link",
        "session_link",
        "attempt_count",
        "next_attempt_at",
        "call_initiated_time",
        "call_end_time",
        "created_at",
        "updated_at",
        "is_playground",
        "masked_payload",
        "masked_override",
    ]

    @admin.display(description="id")
    def short_id(self, lead: Lead) -> str:
        return short(lead.uuid)

    @admin.display(description="for")
    def in_status_for(self, lead: Lead) -> str:
        match lead.status:
            case LeadStatus.FINISHED:
                return since(lead.call_end_time)
            case LeadStatus.PROCESSING:
                return since(lead.call_initiated_time or lead.updated_at)
        return since(lead.updated_at)

    @admin.display(description="template", ordering="template__name")
    def template_link(self, lead: Lead) -> SafeString | str:
        return link(lead.template)

    @admin.display(description="session")
    def session_link(self, lead: Lead) -> SafeString | str:
        session = lead.voice_session
        return link(session, f"{session.status}, {session.start_kind} start") if session else NONE

    @admin.display(description="payload (numbers masked)")
    def masked_payload(self, lead: Lead) -> SafeString:
        return json_block(lead.payload)

    @admin.display(description="configurations override")
    def masked_override(self, lead: Lead) -> SafeString:
        return json_block(lead.configurations_override)


class IdsField(forms.CharField):
    """Ids separated by commas or white space; a list in Python."""

    widget = forms.TextInput(attrs={"class": "vTextField"})

    def clean(self, value: Any) -> Any:
        return super().clean(value).replace(",", " ").split()


class ApiTokenForm(forms.ModelForm):
    reseller_ids = IdsField(required=False, help_text="For reseller, merchant and user; separated by commas.")
    merchant_ids = IdsField(required=False, help_text="For merchant and user; separated by commas.")
    days = forms.IntegerField(required=False, min_value=1, max_value=36_500, help_text="Empty: valid until revoked.")

    class Meta:
        model = ApiToken
        fields = ["name", "role", "reseller_ids", "merchant_ids"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """A token is made and revoked, never changed: who holds it must be able to rely on what it is."""

    form = ApiTokenForm
    list_display = ["name", "hint_", "role", "scope", "state", "created_at", "expires_at"]
    list_filter = ["role", ("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "hint", "uuid"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        if obj is None:
            return ["name", "role", "reseller_ids", "merchant_ids", "days"]
        return ["name", "uuid", "hint_", "role", "scope", "state", "created_at", "expires_at", "revoked_at"]

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("leads.change_apitoken")

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        days = form.cleaned_data["days"]
        if days:
            obj.expires_at = timezone.now() + timedelta(days=days)
        secret = obj.make_secret()
        obj.save()
        messages.warning(request, f"The token, shown this once: {secret}")

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        count = ApiToken.objects.filter(pk__in=queryset.values("pk")).revoke()
        messages.success(request, f"{count} tokens revoked.")

    @admin.display(description="begins with", ordering="hint")
    def hint_(self, token: ApiToken) -> str:
        return f"{token.hint}…"

    @admin.display(description="scope")
    def scope(self, token: ApiToken) -> str:
        parts = [f"{kind} {', '.join(ids)}" for kind, ids in _ids(token).items() if ids]
        return "; ".join(parts) or "everything"

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        if token.revoked_at:
            return f"revoked {since(token.revoked_at)} ago"
        if token.expires_at and token.expires_at <= timezone.now():
            return f"expired {since(token.expires_at)} ago"
        return "usable"


def _ids(token: ApiToken) -> dict[str, list[str]]:
    return {"resellers": token.reseller_ids, "merchants": token.merchant_ids}

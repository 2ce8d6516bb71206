"""The admin page of templates, which can be edited here and over the API."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from common import strict_json
from common.admin_pages import ListAdmin, search_link
from common.errors import ShapeError
from leads.models import Template
from leads.payload_schema import PayloadSchema
from leads.schema_subset import BadSchema

CALL_EXECUTION = (
    "initial_offset",
    "max_attempts",
    "retry_offset",
    "calling_window_start",
    "calling_window_end",
    "time_zone",
    "max_concurrent_calls",
)


class ObjectField(forms.JSONField):
    """A JSON object, parsed as strictly as by the API, because it is sent to bots."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        """Show an empty field instead of `null`."""
        if value is None or isinstance(value, InvalidJSONInput):
            return value or ""
        return json.dumps(value, indent=2, ensure_ascii=False)

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
        """Show the typed text again, even if it is not JSON."""
        return InvalidJSONInput(data)


class PayloadSchemaField(ObjectField):
    """A JSON Schema, checked like one from the API; empty for none."""

    def to_python(self, value: Any) -> Any:
        if not (value or "").strip():
            return None
        schema = super().to_python(value)
        try:
            PayloadSchema(schema)
        except BadSchema as bad:
            raise forms.ValidationError(f"is no usable JSON Schema: {bad}") from None
        return schema


class TemplateForm(forms.ModelForm):
    expected_payload_schema = PayloadSchemaField(
        required=False,
        help_text="JSON Schema, see docs/api.md. A push that violates it is refused. Empty: any object is accepted.",
    )
    configurations = ObjectField(required=False, help_text="Given to the bot with the payload.")

    class Meta:
        model = Template
        fields = [
            "name",
            "reseller_id",
            "merchant_id",
            "active",
            "expected_payload_schema",
            "configurations",
            *CALL_EXECUTION,
        ]


@admin.register(Template)
class TemplateAdmin(ListAdmin):
    form = TemplateForm
    list_display = ["name", "reseller_id", "merchant_id", "active", "updated_at", "see_leads"]
    list_filter = ["active", "reseller_id"]
    search_fields = ["name", "uuid", "reseller_id", "merchant_id"]
    fieldsets = [
        (None, {"fields": ["name", "reseller_id", "merchant_id", "active"]}),
        ("Payload", {"fields": ["expected_payload_schema"]}),
        ("Bot", {"fields": ["configurations"]}),
        ("Telephony", {"fields": CALL_EXECUTION}),
    ]
    readonly_fields = ["uuid", "created_at", "updated_at"]

    def get_fieldsets(self, request: HttpRequest, obj: Template | None = None) -> Any:
        """Show id and times only for a template that is stored."""
        return self.fieldsets if obj is None else [*self.fieldsets, ("Record", {"fields": self.readonly_fields})]

    @admin.display(description="leads")
    def see_leads(self, template: Template) -> SafeString:
        return search_link("leads_lead", template.uuid, "leads")

"""The admin page of leads, which is read-only: only the API writes leads."""

from django.contrib import admin
from django.utils.safestring import SafeString

from common.admin_pages import ReadOnlyAdmin, json_block, link, short
from common.display import NONE, since
from common.masking import mask_text
from leads.models import Lead, LeadStatus


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
        "end_reason",
        "masked_abort_reason",
        "execution_mode",
        "reseller_id",
        "merchant_id",
        "template_link",
        "session_link",
        "call_id",
        "platform_status",
        "platform_reason",
        "provider_status",
        "provider_reason",
        "masked_hangup_cause",
        "attempt_count",
        "previous_attempt_link",
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

    @admin.display(description="previous attempt")
    def previous_attempt_link(self, lead: Lead) -> SafeString | str:
        return link(lead.previous_attempt)

    @admin.display(description="abort reason (numbers masked)")
    def masked_abort_reason(self, lead: Lead) -> str:
        return mask_text(lead.abort_reason) or NONE

    @admin.display(description="provider hangup cause (numbers masked)")
    def masked_hangup_cause(self, lead: Lead) -> str:
        return mask_text(lead.provider_hangup_cause) or NONE

    @admin.display(description="payload (numbers masked)")
    def masked_payload(self, lead: Lead) -> SafeString:
        return json_block(lead.payload)

    @admin.display(description="configurations override")
    def masked_override(self, lead: Lead) -> SafeString:
        return json_block(lead.configurations_override)

"""The admin page of webhook deliveries: what was sent where, what failed, and an action to send events again."""

import json

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from common.admin_pages import ReadOnlyAdmin, json_block, link, short
from common.display import NONE, since
from common.masking import mask_text
from leads.models import DeliveryStatus, WebhookDelivery
from pools import notifications


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = [
        "short_id",
        "status",
        "lead_link",
        "host",
        "attempts",
        "last_status",
        "last_problem",
        "last_try",
        "next_try",
        "created_at",
    ]
    list_filter = ["status", "last_status", "created_at", "lead__reseller_id"]
    list_select_related = ["lead"]
    search_fields = ["event_id", "lead__uuid", "lead__request_id", "host"]
    fields = [
        "event_id",
        "status",
        "lead_link",
        "address",
        "attempts",
        "last_status",
        "last_problem",
        "last_attempt_at",
        "next_attempt_at",
        "give_up_at",
        "created_at",
        "ended_at",
        "masked_body",
    ]
    actions = ["resend"]

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("leads.change_webhookdelivery")

    @admin.action(description="Send the selected events again (the same event, the same id)", permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        count = WebhookDelivery.objects.filter(pk__in=queryset.values("pk")).resend()
        notifications.wake_supervisors()
        messages.success(request, f"{count} events will be sent again. Pending events are sent anyway.")

    @admin.display(description="event")
    def short_id(self, delivery: WebhookDelivery) -> str:
        return short(delivery.event_id)

    @admin.display(description="lead")
    def lead_link(self, delivery: WebhookDelivery) -> SafeString | str:
        return link(delivery.lead, short(delivery.lead))

    @admin.display(description="last try")
    def last_try(self, delivery: WebhookDelivery) -> str:
        return NONE if delivery.last_attempt_at is None else f"{since(delivery.last_attempt_at)} ago"

    @admin.display(description="next try")
    def next_try(self, delivery: WebhookDelivery) -> str:
        pending = delivery.status == DeliveryStatus.PENDING
        return f"{delivery.next_attempt_at:%Y-%m-%d %H:%M:%S}" if pending else NONE

    @admin.display(description="url (query masked)")
    def address(self, delivery: WebhookDelivery) -> str:
        return mask_text(delivery.url)

    @admin.display(description="body (numbers masked)")
    def masked_body(self, delivery: WebhookDelivery) -> SafeString:
        return json_block(json.loads(delivery.body))

"""Writes the event about the end of a lead, in the transaction that ends the lead; it is sent afterwards.

So there is an event if and only if the lead has ended, whatever crashes in between.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.db import connection, transaction
from django.db.models.functions import Now

from leads.models import Lead, WebhookDelivery
from leads.models.webhook_delivery import PATIENCE
from leads.webhooks.payload import encoded, payload_of


def lead_finished(lead: Lead) -> WebhookDelivery | None:
    """Write the event of a finished lead; return it, or None if there is no webhook or a waiting event was updated.

    Call it in the transaction that has finished the lead, with the row as it is now. A lead is finished twice if the
    report of its call comes late: an event that has not been sent yet is then updated, otherwise a second one is sent.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("lead_finished() needs the transaction that has finished the lead")
    url = webhook_url(lead)
    if not url:
        return None
    delivery = _delivery(lead, url)
    if WebhookDelivery.objects.untried().filter(lead=lead).update(body=delivery.body):
        return None
    delivery.save()
    return delivery


def leads_cancelled(leads: Iterable[Lead]) -> None:
    """Write the events of cancelled leads in one statement. They were never called, so they have no event yet."""
    WebhookDelivery.objects.bulk_create(_delivery(lead, url) for lead in leads if (url := webhook_url(lead)))


def _delivery(lead: Lead, url: str) -> WebhookDelivery:
    body = encoded(payload_of(lead))
    return WebhookDelivery(lead=lead, url=url, host=_host(url), body=body, give_up_at=Now() + PATIENCE)


def webhook_url(lead: Lead) -> str:
    """Return the webhook's URL of a lead: its own field, or the payload's, where the published API has it. "": none."""
    url = lead.reporting_webhook_url or lead.payload.get("reporting_webhook_url")
    return url if isinstance(url, str) and len(url) <= 2000 else ""


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "")[:255]
    except ValueError:
        return ""  # sending will refuse it, which the admin shows

"""A lead is over: the event for whoever pushed it is written in the same transaction, and sent afterwards.

So there is an event if and only if the lead is over, whatever dies in between.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.db import connection, transaction
from django.db.models.functions import Now

from leads.models import Lead, WebhookDelivery
from leads.models.webhook_delivery import PATIENCE
from leads.webhooks.payload import encoded, payload_of


def lead_finished(lead: Lead) -> WebhookDelivery | None:
    """Call in the transaction that has finished the lead, with the row as it is now. None: nobody wants to know.

    A lead may be finished twice, when the report of its call comes in late: an event that has not been sent yet says
    what is known now, otherwise a second one does.
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
    """The same for many that were never called, so that nothing has been said of them: one statement."""
    WebhookDelivery.objects.bulk_create(_delivery(lead, url) for lead in leads if (url := webhook_url(lead)))


def _delivery(lead: Lead, url: str) -> WebhookDelivery:
    body = encoded(payload_of(lead))
    return WebhookDelivery(lead=lead, url=url, host=_host(url), body=body, give_up_at=Now() + PATIENCE)


def webhook_url(lead: Lead) -> str:
    """As it was pushed, or as it stands in the payload, where the published form keeps it."""
    url = lead.reporting_webhook_url or lead.payload.get("reporting_webhook_url")
    return url if isinstance(url, str) and len(url) <= 2000 else ""


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "")[:255]
    except ValueError:
        return ""  # it is refused when it is sent, which everybody can see

"""dispatch_now() makes a waiting telephony lead due at once. Its template's calling window still applies."""

from django.db.models import QuerySet
from django.db.models.functions import Now

from common.errors import Conflict, StateError
from leads.models import TELEPHONY_MODES, Lead, LeadStatus
from leads.telephony import phone_calls
from pools import notifications

BUSY = "Lead is currently being dispatched"
NO_NUMBER = f"Lead has no number to dial: push it with payload.{phone_calls.NUMBER_KEY}"
OVER = "Lead is finished; create a new lead for re-attempt"


def dispatch_now(leads: QuerySet[Lead], lead: Lead) -> None:
    """Make a lead due now. Raises StateError (400) if it cannot be dialled (again), Conflict (409) if it is being
    dialled. `leads`: those that the caller may change."""
    if lead.execution_mode not in TELEPHONY_MODES:
        raise StateError(f"Lead is not a telephony lead. execution_mode: {lead.execution_mode}")
    if lead.status == LeadStatus.BACKLOG and phone_calls.is_missing(lead.payload.get(phone_calls.NUMBER_KEY)):
        raise StateError(NO_NUMBER)
    waiting = leads.filter(pk=lead.pk, status=LeadStatus.BACKLOG)
    if not waiting.update(next_attempt_at=Now(), updated_at=Now()):
        lead.refresh_from_db(fields=["status"])
        if lead.status == LeadStatus.FINISHED:
            raise StateError(OVER)
        raise Conflict(BUSY)
    notifications.wake_supervisors()

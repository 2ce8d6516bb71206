"""abort() cancels leads that wait. Leads that are in a call or finished stay as they are."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from leads.models import Lead, LeadStatus, PlatformStatus
from leads.webhooks import outbox

logger = logging.getLogger(__name__)

ABORT = "ABORT"
DONE = "Lead has been successfully aborted"
NOT_FOUND = "Lead not found"
IN_PROGRESS = "Cannot abort - call is currently in progress"


@dataclass(frozen=True)
class Result:
    lead_id: uuid.UUID
    status: str  # success, error, processing: the published words
    message: str

    def as_json(self) -> dict[str, Any]:
        return {"id": str(self.lead_id), "status": self.status, "message": self.message}


def abort(leads: QuerySet[Lead], wanted: Sequence[tuple[uuid.UUID, str]]) -> list[Result]:
    """Cancel leads, each with its reason; return a result for each.

    `leads`: those that the caller may see; `wanted`: ids and reasons. The rows are locked first, so that a request to
    connect or dial one of them at the same moment comes either before or after.
    """
    reasons = dict(reversed(wanted))  # of a lead that is named twice, the first reason counts
    with transaction.atomic():
        found = {lead.uuid: lead for lead in leads.filter(uuid__in=reasons).select_for_update().order_by("pk")}
        aborted = [lead for lead in found.values() if lead.status == LeadStatus.BACKLOG]
        results = [_result(lead_id, found.get(lead_id)) for lead_id, _ in wanted]
        for lead in aborted:
            lead.status, lead.outcome, lead.abort_reason = LeadStatus.FINISHED, ABORT, reasons[lead.uuid]
            lead.platform_status, lead.platform_reason = PlatformStatus.NOT_INITIATED, ABORT
            lead.updated_at = timezone.now()
            lead.call_end_time = Now()
        Lead.objects.bulk_update(
            aborted,
            [
                "status",
                "outcome",
                "abort_reason",
                "platform_status",
                "platform_reason",
                "call_end_time",
                "updated_at",
            ],
        )
        outbox.leads_cancelled(aborted)
    for lead in aborted:
        logger.info("event=lead_aborted lead=%s", lead.uuid)
    return results


def _result(lead_id: uuid.UUID, lead: Lead | None) -> Result:
    if lead is None:
        return Result(lead_id, "error", NOT_FOUND)
    match lead.status:
        case LeadStatus.BACKLOG:
            return Result(lead_id, "success", DONE)
        case LeadStatus.PROCESSING:
            return Result(lead_id, "processing", IN_PROGRESS)
    return Result(lead_id, "error", f"Cannot abort - already finished with outcome: {lead.outcome}")

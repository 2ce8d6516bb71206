"""What a bot is given as `runner_args.body`: what we say about its session, and what its caller says.

What we say has names of its own, below, which no caller can use: a bot may take `lead_id` and `reseller_id` for true.
What a caller says is in the `payload` of its lead, or stands beside our names where there is no lead.
"""

from collections.abc import Mapping
from typing import Any

from leads.models import Lead

OURS = frozenset(
    {
        "lead_id",
        "request_id",
        "reseller_id",
        "merchant_id",
        "execution_mode",
        "template",
        "template_id",
        "configurations",
        "payload",
        "flow_override",
    }
)


def of_lead(lead: Lead) -> dict[str, Any]:
    template = lead.template
    override = lead.configurations_override if lead.is_playground else None
    return {
        "lead_id": str(lead.uuid),
        "request_id": lead.request_id,
        "reseller_id": lead.reseller_id,
        "merchant_id": lead.merchant_id,
        "execution_mode": lead.execution_mode,
        "template": template.name,
        "template_id": str(template.uuid),
        "configurations": {**template.configurations, **(override or {})},
        "payload": lead.payload,
        **({"flow_override": lead.flow_override} if lead.flow_override is not None else {}),
    }


def of_caller(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of a session without a lead: all that its caller says but our names. Reseller and merchant, which have been held
    against the caller's token, are said by us too."""
    said = {name: value for name, value in body.items() if name not in OURS}
    checked = {"reseller_id": body.get("resellerId"), "merchant_id": body.get("merchantId")}
    return said | {name: value for name, value in checked.items() if value}

"""Builds the `runner_args.body` that a bot gets in the session of a lead; see also pools.sessions.bot_body."""

from typing import Any

from leads.models import Lead


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

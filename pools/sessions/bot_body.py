"""What a bot is given as `runner_args.body`: what the service says about its session, and what its caller says.

The service's names are its own, and no caller can use them: a bot may trust `lead_id` and `reseller_id`. What a caller
says is in the `payload` of its lead, or stands beside these names where there is no lead.
"""

from collections.abc import Mapping
from typing import Any

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


def of_caller(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of a session without a lead: all that its caller says but our names. Reseller and merchant, which have been held
    against the caller's token, are said by us too."""
    said = {name: value for name, value in body.items() if name not in OURS}
    checked = {"reseller_id": body.get("resellerId"), "merchant_id": body.get("merchantId")}
    return said | {name: value for name, value in checked.items() if value}

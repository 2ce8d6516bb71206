"""push(): a lead is made from a template that the caller may use."""

import logging
from typing import Any

from rest_framework.exceptions import NotFound

from leads.auth import Scope
from leads.models import Lead, Template

logger = logging.getLogger(__name__)


def push(scope: Scope, values: dict[str, Any]) -> Lead:
    """Make a lead in BACKLOG from the checked values of a PushSerializer.

    Raises PermissionDenied (403) outside of the caller's scope, NotFound (404) for a template that does not exist
    there: whether another reseller has it cannot be told apart.
    """
    reseller_id, merchant_id = values["reseller_id"], values.get("merchant_id")
    scope.check_change(reseller_id, merchant_id)
    template = _find_template(scope, values)
    merchant_id = merchant_id or template.merchant_id
    scope.check_change(reseller_id, merchant_id)
    payload = values["payload"]
    if webhook := values.get("reporting_webhook_url"):
        payload = {**payload, "reporting_webhook_url": webhook}
    lead = Lead.objects.create(
        request_id=values["request_id"],
        template=template,
        reseller_id=reseller_id,
        merchant_id=merchant_id,
        execution_mode=values["execution_mode"],
        payload=payload,
        is_playground=values["is_playground"],
        configurations_override=values.get("configurations_override") if values["is_playground"] else None,
    )
    logger.info("event=lead_pushed lead=%s mode=%s template=%s", lead.uuid, lead.execution_mode, template.uuid)
    return lead


def _find_template(scope: Scope, values: dict[str, Any]) -> Template:
    """By UUID, by name, or by both. A name is looked up for the merchant first, then for all of the reseller's."""
    reseller_id, merchant_id = values["reseller_id"], values.get("merchant_id")
    templates = scope.templates().filter(active=True, reseller_id=reseller_id)
    if name := values.get("template"):
        templates = templates.filter(name=name)
    if template_id := values.get("template_id"):
        templates = templates.filter(uuid=template_id)
    if merchant_id:
        templates = templates.filter(merchant_id__in=[merchant_id, ""])
    elif not template_id:
        templates = templates.filter(merchant_id="")
    template = templates.order_by("-merchant_id").first()  # "" sorts last
    if template is None:
        raise NotFound(_not_found_text(values))
    return template


def _not_found_text(values: dict[str, Any]) -> str:
    if template_id := values.get("template_id"):
        return f"Template not found for reseller: {values['reseller_id']} (template_id={template_id})"
    return f"Template '{values['template']}' not found for reseller: {values['reseller_id']}"

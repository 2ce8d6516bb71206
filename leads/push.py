"""push() and push_all() make leads from templates that the caller may use."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from rest_framework.exceptions import APIException, NotFound

from access.scope import Scope
from common.errors import Conflict, PayloadError, StateError
from leads.models import TELEPHONY_MODES, Lead, Template
from leads.payload_schema import MAX_WORK_OF_A_REQUEST, PayloadSchema, Work
from leads.schema_subset import BadSchema
from leads.visibility import templates_of
from pools import notifications
from pools.sessions.start import request_key

logger = logging.getLogger(__name__)

Values = dict[str, Any]  # checked by PushSerializer
AT_ONCE = 200  # rows per INSERT: on a busy database a thousand can exceed the statement timeout
KEY_REUSED = "this Idempotency-Key was used for another lead"


def push(scope: Scope, values: Values, idempotency_key: str | None = None) -> Lead:
    """Make a lead in BACKLOG. With an `idempotency_key` (unique per holder of a token) a retry gets the same lead.

    Raises PermissionDenied (403) outside of the caller's scope, NotFound (404) for a template that does not exist there
    (or that only another reseller has), PayloadError (400) for a payload that violates the template's schema, Conflict
    (409) for a key that was used with other values.
    """
    lead = Preparation(scope, [values]).lead(values, _push_key(scope, idempotency_key))
    if lead.push_key:
        lead = _saved_once([lead])[0]
    else:
        lead.save(force_insert=True)
    logger.info("event=lead_pushed lead=%s mode=%s template=%s", lead.uuid, lead.execution_mode, lead.template_id)
    _wake_for([lead])
    return lead


def push_all(scope: Scope, items: Sequence[Values | APIException], key: str | None) -> list[Lead | APIException]:
    """Make many leads with few statements; return for each item its lead or what is wrong with it.

    One wrong item does not stop the others. An item that is already an exception (its shape was wrong) is returned
    unchanged.
    """
    preparation = Preparation(scope, [item for item in items if isinstance(item, dict)])
    results: list[Lead | APIException] = []
    for number, item in enumerate(items):
        try:
            results.append(
                item if isinstance(item, APIException) else preparation.lead(item, _push_key(scope, key, number))
            )
        except APIException as problem:
            results.append(problem)
    made = [result for result in results if isinstance(result, Lead)]
    saved = iter(_saved_once(made) if key else Lead.objects.bulk_create(made, batch_size=AT_ONCE))
    results = [next(saved) if isinstance(result, Lead) else result for result in results]
    leads = [result for result in results if isinstance(result, Lead)]
    logger.info("event=leads_pushed queued=%d refused=%d", len(leads), len(results) - len(leads))
    _wake_for(leads)
    return results


class Preparation:
    """Turns checked values into unsaved leads. The templates of all items are read with one query."""

    def __init__(self, scope: Scope, items: Sequence[Values]) -> None:
        self._scope = scope
        self._templates = self._candidates(items)
        self._schemas: dict[int, PayloadSchema | None] = {}
        self._work = Work(MAX_WORK_OF_A_REQUEST)

    def lead(self, values: Values, push_key: str | None) -> Lead:
        """Return an unsaved lead. Raises what `push` raises."""
        reseller_id, merchant_id = values["reseller_id"], values.get("merchant_id")
        self._scope.check_change(reseller_id, merchant_id)
        template = self._template(values)
        merchant_id = merchant_id or template.merchant_id
        self._scope.check_change(reseller_id, merchant_id)
        payload, playground = values["payload"], values["is_playground"]
        if values.get("flow_override") is not None and not playground:
            raise StateError("flow_override is only allowed with is_playground")
        self._check_payload(template, payload)
        webhook = values.get("reporting_webhook_url") or payload.get("reporting_webhook_url") or ""
        if webhook:
            payload = {**payload, "reporting_webhook_url": webhook}
        return Lead(
            request_id=values["request_id"],
            template=template,
            reseller_id=reseller_id,
            merchant_id=merchant_id,
            execution_mode=values["execution_mode"],
            payload=payload,
            reporting_webhook_url=webhook,
            is_playground=playground,
            configurations_override=values.get("configurations_override") if playground else None,
            flow_override=values.get("flow_override"),
            next_attempt_at=Now() + timedelta(seconds=template.initial_offset),
            push_key=push_key,
            push_digest=_digest(values) if push_key else "",
        )

    def _candidates(self, items: Iterable[Values]) -> list[Template]:
        wanted: dict[str, set[Any]] = {"name": set(), "uuid": set(), "reseller_id": set()}
        for values in items:
            wanted["reseller_id"].add(values["reseller_id"])
            if template_id := values.get("template_id"):
                wanted["uuid"].add(template_id)
            else:
                wanted["name"].add(values["template"])
        by = Q(name__in=wanted["name"]) if wanted["name"] else Q(pk__in=[])
        if wanted["uuid"]:
            by |= Q(uuid__in=wanted["uuid"])
        return list(templates_of(self._scope).filter(by, active=True, reseller_id__in=wanted["reseller_id"]))

    def _template(self, values: Values) -> Template:
        """Find the template by UUID, name or both. A merchant's own template wins over the reseller's of that name."""
        found = [template for template in self._templates if _fits(template, values)]
        if not found:
            raise NotFound(_not_found_text(values))
        return max(found, key=lambda template: template.merchant_id)  # a reseller's template has "", the smallest

    def _check_payload(self, template: Template, payload: dict[str, Any]) -> None:
        if template.pk not in self._schemas:
            self._schemas[template.pk] = _compiled(template, self._work)
        schema = self._schemas[template.pk]
        if schema and (violations := schema.violations(payload, self._work)):
            raise PayloadError(violations)


def _compiled(template: Template, work: Work) -> PayloadSchema | None:
    if template.expected_payload_schema is None:
        return None
    try:
        return PayloadSchema(template.expected_payload_schema, work)
    except BadSchema as problem:  # schemas are checked when they are saved; this one came into the table another way
        raise StateError(f"The template's expected_payload_schema cannot be used: {problem}") from None


def _fits(template: Template, values: Values) -> bool:
    if template.reseller_id != values["reseller_id"]:
        return False
    if (name := values.get("template")) and template.name != name:
        return False
    if (template_id := values.get("template_id")) and template.uuid != template_id:
        return False
    if merchant_id := values.get("merchant_id"):
        return template.merchant_id in (merchant_id, "")
    return bool(template_id) or template.merchant_id == ""


def _not_found_text(values: Values) -> str:
    if template_id := values.get("template_id"):
        return f"Template not found for reseller: {values['reseller_id']} (template_id={template_id})"
    text = f"Template '{values['template']}' not found for reseller: {values['reseller_id']}"
    return text if values.get("merchant_id") else f"{text}, and no merchant_id was given"


def _saved_once(leads: Sequence[Lead]) -> list[Lead]:
    """Save the leads whose key is new; for the others return the leads that exist. Raises Conflict (409)."""
    for _ in range(2):  # a second time if another request with the same key was faster
        existing = {lead.push_key: lead for lead in Lead.objects.filter(push_key__in=[one.push_key for one in leads])}
        if any(one.push_key in existing and existing[one.push_key].push_digest != one.push_digest for one in leads):
            raise Conflict(KEY_REUSED)
        try:
            with transaction.atomic():
                new = [one for one in leads if one.push_key not in existing]
                Lead.objects.bulk_create(new, batch_size=AT_ONCE)
        except IntegrityError as error:
            if "lead_pushed_once_a_key" not in str(error):
                raise
            continue
        return [existing.get(one.push_key, one) for one in leads]
    raise Conflict


def _push_key(scope: Scope, key: str | None, number: int = 0) -> str | None:
    return request_key(scope.holder, f"push {number} {key}") if key else None


def _digest(values: Values) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _wake_for(leads: Iterable[Lead]) -> None:
    """Wake the diallers if a lead is to be dialled. Web leads wait for their callers."""
    if not any(lead.execution_mode in TELEPHONY_MODES for lead in leads):
        return
    try:
        notifications.wake_supervisors()
    except DatabaseError as error:  # the leads are committed; the next poll finds them
        logger.warning("event=notify_failed problem=%s", type(error).__name__)

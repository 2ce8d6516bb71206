"""`.../leads` and `.../leads/{id}`: push, list, read and cancel leads."""

import uuid
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from access.scope import READ_ONLY, MayChange, scope_of
from access.throttles import PushThrottle
from common.api.fields import ObjectField, TextField, UUIDField
from common.api.pages import PageQuery, page_of, query_of
from common.api.request import as_uuid, checked, idempotency_key
from common.errors import ShapeError, StateError
from common.openapi import (
    BODY_PROBLEMS,
    EXAMPLE_LEAD,
    IDEMPOTENCY,
    PAYLOAD_PROBLEM,
    QUERY_PROBLEMS,
    TOO_MANY,
    UNAUTHENTICATED,
    UNAVAILABLE,
    problem,
)
from common.strict_json import StrictJSONParser
from leads.abort import DONE, NOT_FOUND, abort
from leads.api.abort import AbortedSerializer, CancelQuery
from leads.api.lead_record import LeadSerializer
from leads.models import ExecutionMode, Lead, LeadStatus
from leads.push import KEY_REUSED, push
from leads.visibility import leads_of
from leads.webhooks.addresses import Destinations

MODES = ", ".join(ExecutionMode.values)


@extend_schema_field(OpenApiTypes.URI)
class WebhookAddressField(TextField):
    """A URL to which webhooks may be sent (leads.webhooks.addresses)."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if problem := Destinations.from_settings().problem_with(text):
            raise serializers.ValidationError(problem, code="address")
        return text


class PushSerializer(serializers.Serializer[Any]):
    """A new lead. Unknown fields are ignored."""

    request_id = TextField(max_length=200, help_text="The caller's tag, such as an order id; not unique.")
    template = TextField(max_length=200, required=False, allow_null=True, help_text="Name of the template.")
    template_id = UUIDField(
        required=False, allow_null=True, help_text="The template's UUID; the name is then optional."
    )
    reseller_id = TextField(max_length=100)
    merchant_id = TextField(
        max_length=100, required=False, allow_null=True, help_text="Required with the name of a merchant's template."
    )
    payload = ObjectField(help_text="Given to the bot. `customer_mobile_number` (E.164) is what telephony dials.")
    reporting_webhook_url = WebhookAddressField(
        max_length=2000, required=False, allow_null=True, help_text="Kept inside `payload`."
    )
    execution_mode = serializers.ChoiceField(
        choices=ExecutionMode.choices,
        default=ExecutionMode.TELEPHONY,
        error_messages={"invalid_choice": f"must be one of {MODES}", "null": "must not be null"},
    )
    is_playground = serializers.BooleanField(default=False)
    configurations_override = ObjectField(
        required=False, allow_null=True, help_text="Replaces values of the template; ignored unless `is_playground`."
    )
    flow_override = ObjectField(
        required=False, allow_null=True, help_text="Given to the bot; refused unless `is_playground`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("template") and not attrs.get("template_id"):
            raise serializers.ValidationError("Either 'template' or 'template_id' must be provided", code="missing")
        inside = attrs["payload"].get("reporting_webhook_url")  # the older form of the API has it there
        if inside is not None and not attrs.get("reporting_webhook_url"):
            problem = Destinations.from_settings().problem_with(inside) if isinstance(inside, str) else "must be text"
            if problem:
                raise serializers.ValidationError(
                    {"payload": {"reporting_webhook_url": ErrorDetail(problem, code="address")}}
                )
        return attrs


class LeadsQuery(PageQuery):
    """Filters of the list; a lead must match all that are given."""

    status = serializers.ChoiceField(choices=LeadStatus.choices, required=False)
    template = TextField(max_length=200, required=False)
    template_id = UUIDField(required=False)
    request_id = TextField(max_length=200, required=False)
    reseller_id = TextField(max_length=100, required=False)
    merchant_id = TextField(max_length=100, required=False)
    execution_mode = serializers.ChoiceField(choices=ExecutionMode.choices, required=False)
    created_from = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)


FILTERS = {
    "status": "status",
    "template": "template__name",
    "template_id": "template__uuid",
    "request_id": "request_id",
    "reseller_id": "reseller_id",
    "merchant_id": "merchant_id",
    "execution_mode": "execution_mode",
    "created_from": "created_at__gte",
    "created_before": "created_at__lt",
}


class LeadPageSerializer(serializers.Serializer[Any]):
    results = LeadSerializer(many=True)
    next_cursor = serializers.UUIDField(allow_null=True)


class PushedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["queued"])
    lead_call_tracker_id = serializers.UUIDField(help_text="The lead's id.")
    order_id = serializers.CharField(help_text="The `request_id`.")
    message = serializers.CharField()


class LeadsView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    def get_throttles(self) -> list[BaseThrottle]:
        return [PushThrottle()] if self.request.method == "POST" else []

    @extend_schema(
        summary="Push a lead",
        tags=["leads"],
        request=PushSerializer,
        parameters=[IDEMPOTENCY],
        responses={
            201: PushedSerializer,
            400: PAYLOAD_PROBLEM,
            403: problem("Outside of the token's scope, or a read-only token", "Access denied to reseller acme"),
            404: problem("No such template in this scope", "Template 'demo' not found for reseller: acme"),
            409: problem("The Idempotency-Key was used for another lead", KEY_REUSED),
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            **TOO_MANY,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "A web session",
                request_only=True,
                value={
                    "request_id": "order-1042",
                    "template": "demo",
                    "reseller_id": "demo",
                    "merchant_id": "demo",
                    "execution_mode": "DAILY",
                    "payload": {"customer_name": "Asha"},
                },
            ),
            OpenApiExample(
                "Queued",
                response_only=True,
                status_codes=["201"],
                value={
                    "status": "queued",
                    "lead_call_tracker_id": EXAMPLE_LEAD,
                    "order_id": "order-1042",
                    "message": "Call request added to queue for processing",
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        lead = push(scope_of(request), checked(PushSerializer, request), idempotency_key(request))
        return Response(pushed(lead), status=201)

    @extend_schema(
        operation_id="list_leads",
        summary="List leads, newest first",
        tags=["leads"],
        parameters=[LeadsQuery],
        responses={200: LeadPageSerializer, **UNAUTHENTICATED, **QUERY_PROBLEMS, **UNAVAILABLE},
        examples=[OpenApiExample("None", status_codes=["200"], value={"results": [], "next_cursor": None})],
    )
    def get(self, request: Request) -> Response:
        query = query_of(LeadsQuery, request)
        leads = leads_of(scope_of(request)).select_related("template", "voice_session__room")
        filters = {FILTERS[name]: value for name, value in query.items() if name in FILTERS}
        page, cursor = page_of(leads, query, **filters)
        return Response({"results": LeadSerializer(page, many=True).data, "next_cursor": cursor})


def pushed(lead: Lead) -> dict[str, Any]:
    """Return the published answer for a lead that was pushed."""
    return {
        "status": "queued",
        "lead_call_tracker_id": str(lead.uuid),
        "order_id": lead.request_id,
        "message": "Call request added to queue for processing",
    }


class LeadView(APIView):
    permission_classes = [MayChange]

    @extend_schema(
        summary="Read a lead and its session",
        tags=["leads"],
        parameters=[OpenApiParameter("lead_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            200: LeadSerializer,
            404: problem("Unknown, or outside of the token's scope", f"Lead not found for ID: {EXAMPLE_LEAD}"),
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
    )
    def get(self, request: Request, lead_id: str) -> Response:
        leads = leads_of(scope_of(request)).select_related("template", "voice_session__room")
        lead = leads.filter(uuid=as_uuid(lead_id)).first()
        if lead is None:
            raise NotFound(f"Lead not found for ID: {lead_id[:100]}")
        return Response(LeadSerializer(lead).data)

    @extend_schema(
        summary="Cancel a lead",
        description="Like `POST /lead/abort` for one lead. Answers 400 if the lead is not in BACKLOG any more.",
        tags=["leads"],
        parameters=[
            OpenApiParameter("lead_id", uuid.UUID, OpenApiParameter.PATH),
            OpenApiParameter("cancellation_reason", str, description="Kept with the lead."),
        ],
        responses={
            200: AbortedSerializer,
            400: problem("In a call, or finished", "Cannot abort - call is currently in progress"),
            403: problem("A read-only token", READ_ONLY),
            404: problem("Unknown, or outside of the token's scope", f"Lead not found for ID: {EXAMPLE_LEAD}"),
            422: QUERY_PROBLEMS[422],
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "Cancelled", status_codes=["200"], value={"id": EXAMPLE_LEAD, "status": "success", "message": DONE}
            )
        ],
    )
    def delete(self, request: Request, lead_id: str) -> Response:
        query = CancelQuery(data=request.query_params.dict())
        if not query.is_valid():
            raise ShapeError(["query", "cancellation_reason"], str(query.errors["cancellation_reason"][0]), "invalid")
        reason = query.validated_data["cancellation_reason"]
        (result,) = abort(leads_of(scope_of(request)), [(as_uuid(lead_id), reason)])
        if result.message == NOT_FOUND:
            raise NotFound(f"Lead not found for ID: {lead_id[:100]}")
        if result.status != "success":
            raise StateError(result.message)
        return Response(result.as_json())

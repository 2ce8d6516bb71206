"""`POST .../leads` and `GET .../leads/{id}`."""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from breezebuddy.openapi import BODY_PROBLEMS, UNAUTHENTICATED, UNAVAILABLE, problem
from breezebuddy.strict_json import StrictJSONParser
from leads.api.examples import EXAMPLE_LEAD
from leads.api.fields import ObjectField, TextField, UUIDField, WebAddressField
from leads.api.lead_record import LeadSerializer
from leads.api.request import as_uuid, checked
from leads.auth import MayChange, MayRead, scope_of
from leads.models import ExecutionMode
from leads.push import push

MODES = ", ".join(ExecutionMode.values)


class PushSerializer(serializers.Serializer[Any]):
    """A lead to be made. Unknown fields are ignored."""

    request_id = TextField(max_length=200, help_text="The caller's tag, such as an order id; not unique.")
    template = TextField(max_length=200, required=False, allow_null=True, help_text="Name of the template.")
    template_id = UUIDField(required=False, allow_null=True, help_text="Its UUID, instead of the name or with it.")
    reseller_id = TextField(max_length=100)
    merchant_id = TextField(
        max_length=100, required=False, allow_null=True, help_text="Required with the name of a merchant's template."
    )
    payload = ObjectField(help_text="Given to the bot. `customer_mobile_number` (E.164) is what telephony dials.")
    reporting_webhook_url = WebAddressField(
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

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("template") and not attrs.get("template_id"):
            raise serializers.ValidationError("Either 'template' or 'template_id' must be provided", code="missing")
        return attrs


class PushedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["queued"])
    lead_call_tracker_id = serializers.UUIDField(help_text="The lead's id.")
    order_id = serializers.CharField(help_text="The `request_id`.")
    message = serializers.CharField()


class LeadsView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Push a lead",
        tags=["leads"],
        request=PushSerializer,
        responses={
            201: PushedSerializer,
            403: problem("Outside of the token's scope, or a read-only token", "Access denied to reseller acme"),
            404: problem("No such template in this scope", "Template 'demo' not found for reseller: acme"),
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
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
        lead = push(scope_of(request), checked(PushSerializer, request))
        answer = {
            "status": "queued",
            "lead_call_tracker_id": str(lead.uuid),
            "order_id": lead.request_id,
            "message": "Call request added to queue for processing",
        }
        return Response(answer, status=201)


class LeadView(APIView):
    permission_classes = [MayRead]

    @extend_schema(
        summary="A lead and its session",
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
        leads = scope_of(request).leads().select_related("template", "voice_session__room")
        lead = leads.filter(uuid=as_uuid(lead_id)).first()
        if lead is None:
            raise NotFound(f"Lead not found for ID: {lead_id[:100]}")
        return Response(LeadSerializer(lead).data)

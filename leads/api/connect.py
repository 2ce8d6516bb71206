"""`POST .../connect` gives a caller a room, a token and a bot for a lead."""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import MayChange, scope_of
from common.api.fields import UUIDField
from common.api.request import checked, idempotency_key
from common.arrival import arrival_of
from common.errors import StateError
from common.openapi import BODY_PROBLEMS, EXAMPLE_LEAD, EXAMPLE_SESSION, IDEMPOTENCY, UNAUTHENTICATED, problem
from common.strict_json import StrictJSONParser
from leads.connect import Connected, LeadNotConnectable, connect
from leads.models import Lead
from leads.visibility import leads_of
from pools.api.start_problems import answered


class ConnectSerializer(serializers.Serializer[Any]):
    lead_id = UUIDField()


class ConnectedSerializer(serializers.Serializer[Any]):
    room_url = serializers.URLField()
    token = serializers.CharField(help_text="The caller's meeting token, a secret.")
    session_id = serializers.UUIDField()
    lead_id = serializers.UUIDField()


class ConnectView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Connect a lead to a room and a bot",
        description="Claims a warm room and a warm agent process; if one is missing, it is made on demand. The bot "
        "gets these values as `runner_args.body`: `lead_id`, `request_id`, `reseller_id`, `merchant_id`, "
        "`execution_mode`, `template`, `template_id`, `configurations` (those of the template; in a playground, the "
        "lead's `configurations_override` replaces some), `payload` (as pushed), and `flow_override` if the lead has "
        "one.",
        tags=["leads"],
        request=ConnectSerializer,
        parameters=[
            IDEMPOTENCY,
        ],
        responses={
            200: ConnectedSerializer,
            400: problem("Not a Daily lead, or not in BACKLOG", "Lead already processed. status: PROCESSING"),
            403: problem("A read-only token", "Access denied: this token is read-only"),
            404: problem("Unknown, or outside of the token's scope", f"Lead not found with id: {EXAMPLE_LEAD}"),
            409: problem("The Idempotency-Key was used for another lead", "this Idempotency-Key was used ..."),
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            503: problem("No capacity, no Daily or no database; the lead stays in BACKLOG", "no live pod"),
        },
        examples=[
            OpenApiExample("A lead", request_only=True, value={"lead_id": EXAMPLE_LEAD}),
            OpenApiExample(
                "Connected",
                response_only=True,
                status_codes=["200"],
                value={
                    "room_url": "https://example.daily.co/bb-01k9zq3v7t",
                    "token": "eyJhbGciOi...",
                    "session_id": EXAMPLE_SESSION,
                    "lead_id": EXAMPLE_LEAD,
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        lead_uuid = checked(ConnectSerializer, request)["lead_id"]
        connected = self._connect(request, lead_uuid)
        answer = {
            "room_url": connected.room_url,
            "token": connected.token,
            "session_id": str(connected.session_id),
            "lead_id": str(connected.lead_id),
        }
        return Response(answer)

    def _connect(self, request: Request, lead_uuid: uuid.UUID) -> Connected:
        scope = scope_of(request)
        try:
            with answered():
                return connect(
                    lead_uuid=lead_uuid,
                    leads=leads_of(scope),
                    holder=scope.holder,
                    idempotency_key=idempotency_key(request),
                    arrived=arrival_of(request.META),
                )
        except Lead.DoesNotExist:
            raise NotFound(f"Lead not found with id: {lead_uuid}") from None
        except LeadNotConnectable as error:
            raise StateError(str(error)) from None

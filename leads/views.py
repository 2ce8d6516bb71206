"""The leads API. Thin: shape in serializers, scope in auth, the verbs in push and connect."""

import re
import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from breezebuddy.errors import Conflict, ShapeError, StateError, Unavailable
from breezebuddy.openapi import BODY_PROBLEMS, UNAUTHENTICATED, UNAVAILABLE, problem
from breezebuddy.strict_json import StrictJSONParser, body_of
from leads.auth import MayChange, scope_of
from leads.connect import Connected, IdempotencyConflict, LeadNotConnectable, connect
from leads.models import Lead
from leads.push import push
from leads.serializers import ConnectedSerializer, ConnectSerializer, LeadSerializer, PushedSerializer, PushSerializer
from pools.claims import PoolExhausted

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
EXAMPLE_LEAD = "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"
EXAMPLE_SESSION = "0b9f6f3e-3c53-4b0c-a3f5-0f4b6f8f4c22"


def checked(serializer_class: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The body's values. Raises what becomes 4xx if the body is not of the serializer's shape."""
    body = body_of(request)
    if not isinstance(body, dict):
        raise ShapeError(["body"], "must be an object", "invalid")
    serializer = serializer_class(data=body)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


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
        not_found = NotFound(f"Lead not found for ID: {lead_id[:100]}")
        try:
            lead_uuid = uuid.UUID(lead_id)
        except ValueError:
            raise not_found from None
        lead = (
            scope_of(request).leads().select_related("template", "voice_session__room").filter(uuid=lead_uuid).first()
        )
        if lead is None:
            raise not_found
        return Response(LeadSerializer(lead).data)


class ConnectView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Connect a lead to a room and a bot",
        description="Claims a warm room and a warm agent process; what is missing is made on demand.",
        tags=["leads"],
        request=ConnectSerializer,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="1 to 255 visible ASCII characters. A retry with it gets the session that exists.",
            )
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
            return connect(
                lead_uuid=lead_uuid,
                leads=scope.leads(),
                holder=scope.holder,
                idempotency_key=idempotency_key(request),
            )
        except Lead.DoesNotExist:
            raise NotFound(f"Lead not found with id: {lead_uuid}") from None
        except LeadNotConnectable as error:
            raise StateError(str(error)) from None
        except IdempotencyConflict as error:
            raise Conflict(str(error)) from None
        except PoolExhausted as error:
            raise Unavailable(error.reason, error.retry_after) from None


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        loc = ["header", "Idempotency-Key"]
        raise ShapeError(loc, "must be 1 to 255 visible ASCII characters", "invalid")
    return key

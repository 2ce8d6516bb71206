"""`/pool/reservations`: makes, lists and releases reservations of warm pairs. For admins.

It is here and not in `pools` because tokens and their roles are; the override itself is `pools.operators.overrides`.
"""

import uuid
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import OperatorsOnly, scope_of
from common.api.fields import TextField
from common.api.request import as_uuid, checked
from common.errors import StateError
from common.openapi import BODY_PROBLEMS, UNAUTHENTICATED, UNAVAILABLE, problem
from common.strict_json import StrictJSONParser
from pools.api.serializers import OrderSerializer
from pools.models import PoolOverride
from pools.operators import overrides
from pools.operators.overrides import OverrideRefused

MOST_PAIRS = 10_000
EXAMPLE = {
    "order_id": "5f0c3f6e-8c53-4b0c-a3f5-0f4b6f8f4c21",
    "action": "reserve",
    "pool": "pairs",
    "pod": None,
    "size": 60,
    "starts_at": "2026-11-24T10:00:00Z",
    "ends_at": "2026-11-24T10:20:00Z",
    "reason": "campaign",
    "ordered_by": "token ops",
    "ordered_at": "2026-11-24T09:00:00Z",
    "problem": "",
}
NOT_AN_ADMIN = {403: problem("Not an admin", OperatorsOnly.message)}


class ReserveSerializer(serializers.Serializer[Any]):
    pairs = serializers.IntegerField(
        min_value=1, max_value=MOST_PAIRS, help_text="Number of pairs, of all pods together."
    )
    starts_at = serializers.DateTimeField(required=False, help_text="Default: now.")
    ends_at = serializers.DateTimeField()
    reason = TextField(max_length=300, required=False, help_text="Shown with the reservation.")
    allow_short = serializers.BooleanField(
        required=False, default=False, help_text="Accept it although the live pods cannot hold all pairs."
    )


class ReservationSerializer(OrderSerializer):
    problem = serializers.CharField(
        help_text="By how many pairs the live pods would be short, and why. Empty if they would not."
    )


class ReservationsSerializer(serializers.Serializer[Any]):
    results = ReservationSerializer(many=True)


class ReservationsView(APIView):
    permission_classes = [OperatorsOnly]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Reserve warm pairs",
        description=(
            "From `starts_at` to `ends_at` all pods together keep so many pairs warm, beyond what else is reserved for "
            "that time. Reserved is not yet warm: the pool status counts what is."
        ),
        tags=["pools"],
        request=ReserveSerializer,
        responses={
            201: ReservationSerializer,
            400: problem("The live pods cannot hold it, or its times are wrong", "60 pairs at one time, but ..."),
            **UNAUTHENTICATED,
            **NOT_AN_ADMIN,
            **BODY_PROBLEMS,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "Sixty for a campaign",
                request_only=True,
                value={
                    "pairs": 60,
                    "starts_at": "2026-11-24T10:00:00Z",
                    "ends_at": "2026-11-24T10:20:00Z",
                    "reason": "campaign",
                },
            ),
            OpenApiExample("Reserved", response_only=True, status_codes=["201"], value=EXAMPLE),
        ],
    )
    def post(self, request: Request) -> Response:
        values = checked(ReserveSerializer, request)
        try:
            override = overrides.reserve(
                values["pairs"],
                starts_at=values.get("starts_at") or timezone.now(),
                ends_at=values["ends_at"],
                allow_short=values["allow_short"],
                by=f"token {scope_of(request).name}",
                why=values.get("reason", ""),
            )
        except OverrideRefused as refusal:
            raise StateError(str(refusal)) from None
        return Response(as_json(override), status=201)

    @extend_schema(
        summary="What is reserved, now and later",
        tags=["pools"],
        responses={200: ReservationsSerializer, **UNAUTHENTICATED, **NOT_AN_ADMIN, **UNAVAILABLE},
        examples=[OpenApiExample("One", status_codes=["200"], value={"results": [EXAMPLE]})],
    )
    def get(self, request: Request) -> Response:
        standing = PoolOverride.objects.standing().reservations().order_by("starts_at")
        return Response({"results": [as_json(override) for override in standing]})


class ReservationView(APIView):
    permission_classes = [OperatorsOnly]

    @extend_schema(
        summary="Release a reservation",
        tags=["pools"],
        parameters=[OpenApiParameter("order_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            204: None,
            404: problem("Unknown, or over already", f"Reservation not found: {EXAMPLE['order_id']}"),
            **UNAUTHENTICATED,
            **NOT_AN_ADMIN,
            **UNAVAILABLE,
        },
    )
    def delete(self, request: Request, order_id: str) -> Response:
        number = as_uuid(order_id)
        reserved = PoolOverride.objects.reservations().filter(uuid=number).exists()
        if not reserved or not overrides.cancel(number, by=f"token {scope_of(request).name}"):
            raise NotFound(f"Reservation not found: {order_id[:100]}")
        return Response(status=204)


def as_json(override: PoolOverride) -> dict[str, Any]:
    short = overrides.shortage(0, override.starts_at, override.ends_at) if override.ends_at else ""
    return override.report() | {"problem": short}

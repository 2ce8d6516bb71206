"""`POST .../leads/{id}/dispatch-now` dials a telephony lead before its time."""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import READ_ONLY, MayChange, scope_of
from common.api.request import as_uuid
from common.openapi import EXAMPLE_LEAD, UNAUTHENTICATED, UNAVAILABLE, problem
from leads.dispatch_now import BUSY, OVER, dispatch_now
from leads.visibility import leads_of

EXPECTED_WITHIN_MS = 200  # the published figure; it holds if nothing else is due and a warm pair is ready


class DispatchedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["queued"])
    lead_id = serializers.UUIDField()
    expected_dispatch_within_ms = serializers.IntegerField()


class DispatchNowView(APIView):
    permission_classes = [MayChange]

    @extend_schema(
        summary="Dial a telephony lead now",
        description="Makes the lead due at once. The template's calling window and its limit of concurrent calls still "
        "apply.",
        tags=["leads"],
        request=None,
        parameters=[OpenApiParameter("lead_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            200: DispatchedSerializer,
            400: problem("Not a telephony lead, no number to dial, or finished", OVER),
            403: problem("A read-only token", READ_ONLY),
            404: problem("Unknown, or outside of the token's scope", f"Lead not found for ID: {EXAMPLE_LEAD}"),
            409: problem("It is being dialled", BUSY),
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "Queued",
                status_codes=["200"],
                value={
                    "status": "queued",
                    "lead_id": EXAMPLE_LEAD,
                    "expected_dispatch_within_ms": EXPECTED_WITHIN_MS,
                },
            )
        ],
    )
    def post(self, request: Request, lead_id: str) -> Response:
        leads = leads_of(scope_of(request))
        lead = leads.filter(uuid=as_uuid(lead_id)).first()
        if lead is None:
            raise NotFound(f"Lead not found for ID: {lead_id[:100]}")
        dispatch_now(leads, lead)
        return Response(
            {"status": "queued", "lead_id": str(lead.uuid), "expected_dispatch_within_ms": EXPECTED_WITHIN_MS}
        )

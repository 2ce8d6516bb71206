"""`POST .../lead/abort` cancels leads that wait, and answers with a result for each."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import READ_ONLY, MayChange, scope_of
from common.api.fields import TextField
from common.api.request import as_uuid, checked
from common.openapi import BODY_PROBLEMS, EXAMPLE_LEAD, EXAMPLE_TEMPLATE, UNAUTHENTICATED, UNAVAILABLE, problem
from common.strict_json import StrictJSONParser
from leads.abort import DONE, NOT_FOUND, abort
from leads.visibility import leads_of

MAX_REASON = 500
MAX_LEADS = 1000


class CancelQuery(serializers.Serializer[Any]):
    cancellation_reason = TextField(max_length=MAX_REASON, default="")


class ToAbortSerializer(serializers.Serializer[Any]):
    lead_id = TextField(max_length=100)
    cancellation_reason = TextField(max_length=MAX_REASON)


class AbortSerializer(serializers.Serializer[Any]):
    leads = serializers.ListField(child=ToAbortSerializer(), min_length=1, max_length=MAX_LEADS)


class AbortedSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["success", "error", "processing"])
    message = serializers.CharField()


class AbortResultsSerializer(serializers.Serializer[Any]):
    leads = AbortedSerializer(many=True)


class AbortView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Cancel leads",
        description=f"Up to {MAX_LEADS} leads. Those in BACKLOG are finished with the outcome ABORT. One result is "
        "returned per lead.",
        tags=["leads"],
        request=AbortSerializer,
        responses={
            200: AbortResultsSerializer,
            403: problem("A read-only token", READ_ONLY),
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "Two leads",
                request_only=True,
                value={
                    "leads": [
                        {"lead_id": EXAMPLE_LEAD, "cancellation_reason": "order cancelled"},
                        {"lead_id": EXAMPLE_TEMPLATE, "cancellation_reason": "order cancelled"},
                    ]
                },
            ),
            OpenApiExample(
                "Results",
                response_only=True,
                status_codes=["200"],
                value={
                    "leads": [
                        {"id": EXAMPLE_LEAD, "status": "success", "message": DONE},
                        {"id": EXAMPLE_TEMPLATE, "status": "error", "message": NOT_FOUND},
                    ]
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        items = checked(AbortSerializer, request)["leads"]
        wanted = [(as_uuid(item["lead_id"]), item["cancellation_reason"]) for item in items]
        results = abort(leads_of(scope_of(request)), wanted)
        answer = [result.as_json() | {"id": item["lead_id"]} for result, item in zip(results, items, strict=True)]
        return Response({"leads": answer})

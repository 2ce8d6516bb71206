"""The endpoints `/health` and `/health/ready` of the processes that serve HTTP."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from breezebuddy.health import readiness


class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ok"])


class ReadinessSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ok", "degraded", "unavailable"])
    reasons = serializers.ListField(child=serializers.CharField(), required=False, help_text="Only when degraded.")
    detail = serializers.CharField(required=False, help_text="Only when unavailable.")


class OpenView(APIView):
    """Base of views that need no token, for probes."""

    authentication_classes = []
    permission_classes = []


class HealthView(OpenView):
    @extend_schema(
        summary="Is the process alive?",
        description="Does not ask the database.",
        tags=["health"],
        responses={200: HealthSerializer},
        examples=[OpenApiExample("Alive", value={"status": "ok"})],
    )
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadinessView(OpenView):
    @extend_schema(
        summary="Can the service do its work?",
        description="The database answers and has all migrations. Without a live pod it is `degraded`, not unready.",
        tags=["health"],
        responses={200: ReadinessSerializer, 503: OpenApiResponse(ReadinessSerializer, "Send nothing here")},
        examples=[
            OpenApiExample("Ready", value={"status": "ok"}, status_codes=["200"]),
            OpenApiExample("No pod", value={"status": "degraded", "reasons": ["no live pod"]}, status_codes=["200"]),
            OpenApiExample(
                "No database",
                value={"status": "unavailable", "detail": "the database does not answer"},
                status_codes=["503"],
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        status, body = readiness()
        return Response(body, status=status)

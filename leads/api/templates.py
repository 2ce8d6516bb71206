"""`.../templates`: list, make, read and change the templates that leads are made from."""

import uuid
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import READ_ONLY, MayChange, scope_of
from common.api.fields import ObjectField, TextField
from common.api.pages import PageQuery, page_of, query_of
from common.api.request import as_uuid, checked
from common.errors import Conflict, ShapeError
from common.openapi import BODY_PROBLEMS, EXAMPLE_TEMPLATE, QUERY_PROBLEMS, UNAUTHENTICATED, UNAVAILABLE, problem
from common.strict_json import StrictJSONParser
from leads.models import Template
from leads.models.template import WEEK_S, check_time_zone
from leads.payload_schema import PayloadSchema
from leads.schema_subset import BadSchema
from leads.visibility import own_templates_of, templates_of

MONTH_S = 4 * WEEK_S
TIMES = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f"]  # ISO 8601's offsets would be read and forgotten


class CallingWindowSerializer(serializers.Serializer[Any]):
    start = serializers.TimeField(input_formats=TIMES, help_text="Local time in `time_zone`.")
    end = serializers.TimeField(input_formats=TIMES, help_text="If it is earlier than `start`, on the next day.")
    time_zone = TextField(max_length=64, default="UTC", help_text="A name of the IANA database, such as Asia/Kolkata.")

    def validate_time_zone(self, name: str) -> str:
        try:
            check_time_zone(name)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["start"] == attrs["end"]:
            raise serializers.ValidationError("start and end must differ; null for at any time")
        return attrs


class CallExecutionConfigSerializer(serializers.Serializer[Any]):
    """When and how often telephony leads are dialled."""

    initial_offset = serializers.IntegerField(min_value=0, max_value=MONTH_S, default=0, help_text="Seconds.")
    max_attempts = serializers.IntegerField(
        min_value=1, max_value=20, default=1, help_text="Calls in total; 1: no retry."
    )
    retry_offset = serializers.IntegerField(min_value=0, max_value=MONTH_S, default=900, help_text="Seconds.")
    calling_window = CallingWindowSerializer(allow_null=True, default=None, help_text="null: at any time of day.")
    max_concurrent_calls = serializers.IntegerField(
        min_value=1, max_value=100_000, allow_null=True, default=None, help_text="null: limited only by capacity."
    )


class TemplateSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="uuid", read_only=True)
    name = TextField(max_length=200)
    reseller_id = TextField(max_length=100)
    merchant_id = TextField(
        max_length=100, required=False, allow_null=True, help_text="null: for all merchants of the reseller."
    )
    expected_payload_schema = ObjectField(
        required=False,
        allow_null=True,
        help_text="JSON Schema (a subset, see docs/api.md). A push that violates it gets 400 with each violation.",
    )
    configurations = ObjectField(required=False, help_text="Given to the bot with the payload.")
    call_execution_config = CallExecutionConfigSerializer(required=False)
    is_active = serializers.BooleanField(required=False, help_text="false: no new leads can be made from it.")
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate_expected_payload_schema(self, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            try:
                PayloadSchema(schema)
            except BadSchema as bad:
                raise serializers.ValidationError(f"is no usable JSON Schema: {bad}", code="schema") from None
        return schema


class TemplateChangeSerializer(TemplateSerializer):
    """A change of a template: fields that are not given keep their values. Reseller and merchant cannot be changed."""

    name = TextField(max_length=200, required=False)
    reseller_id = None  # type: ignore[assignment]
    merchant_id = None  # type: ignore[assignment]


class TemplatesQuery(PageQuery):
    name = TextField(max_length=200, required=False)
    reseller_id = TextField(max_length=100, required=False)
    merchant_id = TextField(max_length=100, required=False)


class TemplatePageSerializer(serializers.Serializer[Any]):
    results = TemplateSerializer(many=True)
    next_cursor = serializers.UUIDField(allow_null=True)


NEW = {
    "name": "order-confirmation",
    "reseller_id": "demo",
    "merchant_id": "demo",
    "expected_payload_schema": {"type": "object", "required": ["customer_name"]},
    "configurations": {"prompt": "Confirm the order."},
    "call_execution_config": {
        "initial_offset": 0,
        "max_attempts": 3,
        "retry_offset": 900,
        "calling_window": {"start": "09:00:00", "end": "21:00:00", "time_zone": "Asia/Kolkata"},
        "max_concurrent_calls": 10,
    },
}
SHOWN = {
    "id": EXAMPLE_TEMPLATE,
    **NEW,
    "is_active": True,
    "created_at": "2026-11-24T06:00:00Z",
    "updated_at": "2026-11-24T06:00:00Z",
}
NOT_CHANGING = {403: problem("A read-only token, or outside of its scope", READ_ONLY)}
NAME_TAKEN = {409: problem("The name is taken", "There is a template of this name already")}
NOT_FOUND = {404: problem("Unknown, or outside of the token's scope", f"Template not found: {EXAMPLE_TEMPLATE}")}
PATH = [OpenApiParameter("template_id", uuid.UUID, OpenApiParameter.PATH)]


class TemplatesView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        operation_id="list_templates",
        summary="List templates, newest first",
        tags=["templates"],
        parameters=[TemplatesQuery],
        responses={200: TemplatePageSerializer, **UNAUTHENTICATED, **QUERY_PROBLEMS, **UNAVAILABLE},
        examples=[OpenApiExample("One", status_codes=["200"], value={"results": [SHOWN], "next_cursor": None})],
    )
    def get(self, request: Request) -> Response:
        query = query_of(TemplatesQuery, request)
        filters = {name: query[name] for name in ("name", "reseller_id", "merchant_id") if name in query}
        page, cursor = page_of(templates_of(scope_of(request)), query, **filters)
        return Response({"results": [shown(template) for template in page], "next_cursor": cursor})

    @extend_schema(
        summary="Make a template",
        tags=["templates"],
        request=TemplateSerializer,
        responses={
            201: TemplateSerializer,
            **NOT_CHANGING,
            **NAME_TAKEN,
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample("For one merchant", request_only=True, value=NEW),
            OpenApiExample("Made", response_only=True, status_codes=["201"], value=SHOWN),
        ],
    )
    def post(self, request: Request) -> Response:
        values = checked(TemplateSerializer, request)
        merchant_id = values.get("merchant_id") or ""
        scope_of(request).check_change(values["reseller_id"], merchant_id)
        template = Template(reseller_id=values["reseller_id"], merchant_id=merchant_id)
        save(template, values)
        return Response(shown(template), status=201)


class TemplateView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Read a template",
        tags=["templates"],
        parameters=PATH,
        responses={200: TemplateSerializer, **NOT_FOUND, **UNAUTHENTICATED, **UNAVAILABLE},
        examples=[OpenApiExample("A template", status_codes=["200"], value=SHOWN)],
    )
    def get(self, request: Request, template_id: str) -> Response:
        template = templates_of(scope_of(request)).filter(uuid=as_uuid(template_id)).first()
        if template is None:
            raise not_found(template_id)
        return Response(shown(template))

    @extend_schema(
        summary="Change a template",
        description="Fields that are not given keep their values; an object that is given replaces the old one.",
        tags=["templates"],
        request=TemplateChangeSerializer,
        parameters=PATH,
        responses={
            200: TemplateSerializer,
            **NOT_CHANGING,
            **NOT_FOUND,
            **NAME_TAKEN,
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample("No new leads", request_only=True, value={"is_active": False}),
            OpenApiExample("Changed", response_only=True, status_codes=["200"], value={**SHOWN, "is_active": False}),
        ],
    )
    def patch(self, request: Request, template_id: str) -> Response:
        scope = scope_of(request)
        values = checked(TemplateChangeSerializer, request)
        with transaction.atomic():
            template = own_templates_of(scope).select_for_update().filter(uuid=as_uuid(template_id)).first()
            if template is None:
                raise not_found(template_id)
            refuse_move(template, request.data)
            save(template, values)
        return Response(shown(template))


def not_found(template_id: str) -> NotFound:
    return NotFound(f"Template not found: {template_id[:100]}")


def refuse_move(template: Template, body: Any) -> None:
    for name in ("reseller_id", "merchant_id"):
        if name in body and (body[name] or "") != getattr(template, name):
            raise ShapeError(["body", name], "cannot be changed: make a template there", "immutable")


def save(template: Template, values: dict[str, Any]) -> None:
    for name in ("name", "expected_payload_schema", "configurations"):
        if name in values:
            setattr(template, name, values[name])
    template.active = values.get("is_active", template.active)
    if config := values.get("call_execution_config"):
        window = config["calling_window"] or {"start": None, "end": None, "time_zone": "UTC"}
        template.calling_window_start, template.calling_window_end = window["start"], window["end"]
        template.time_zone = window["time_zone"]
        for name in ("initial_offset", "max_attempts", "retry_offset", "max_concurrent_calls"):
            setattr(template, name, config[name])
    try:
        with transaction.atomic():
            template.save()
    except IntegrityError as error:
        if "template_name_in_scope" not in str(error):
            raise
        raise Conflict("There is a template of this name already") from None


def shown(template: Template) -> dict[str, Any]:
    window = None
    if template.calling_window_start is not None and template.calling_window_end is not None:
        window = {
            "start": template.calling_window_start.isoformat(),
            "end": template.calling_window_end.isoformat(),
            "time_zone": template.time_zone,
        }
    return {
        "id": str(template.uuid),
        "name": template.name,
        "reseller_id": template.reseller_id,
        "merchant_id": template.merchant_id or None,
        "expected_payload_schema": template.expected_payload_schema,
        "configurations": template.configurations,
        "call_execution_config": {
            "initial_offset": template.initial_offset,
            "max_attempts": template.max_attempts,
            "retry_offset": template.retry_offset,
            "calling_window": window,
            "max_concurrent_calls": template.max_concurrent_calls,
        },
        "is_active": template.active,
        "created_at": template.created_at,
        "updated_at": template.updated_at,
    }

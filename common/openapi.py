"""The parts of the OpenAPI description that many views share: errors, authentication, ids of the examples."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from common.errors import NOT_JSON

# The ids in the examples; the tests of the description make rows with these ids.
EXAMPLE_LEAD = "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"
EXAMPLE_SESSION = "0b9f6f3e-3c53-4b0c-a3f5-0f4b6f8f4c22"
EXAMPLE_TOKEN = "9d2f7c1e-6a0b-4a7e-9d57-0a3f6b1c2d3e"  # noqa: S105  # the id, not the token
EXAMPLE_TEMPLATE = "c2b7a6f4-1f5d-4c8e-8f7b-5e9a0d1c2b3f"


class ProblemSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField(help_text="What was wrong, for people.")


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class StepField(serializers.Field[Any, Any, Any, Any]):
    """A key of an object or an index of a list."""


class ShapeProblemSerializer(serializers.Serializer[Any]):
    loc = serializers.ListField(child=StepField(), help_text="Where, from `body` inwards: keys and indices.")
    msg = serializers.CharField()
    type = serializers.CharField()


class ShapeProblemsSerializer(serializers.Serializer[Any]):
    detail = ShapeProblemSerializer(many=True)


def problem(description: str, example: str) -> OpenApiResponse:
    return OpenApiResponse(
        ProblemSerializer, description, examples=[OpenApiExample(description, value={"detail": example})]
    )


_SHAPE_EXAMPLE = {"detail": [{"loc": ["body", "reseller_id"], "msg": "This field is required.", "type": "missing"}]}

UNAUTHENTICATED = {401: problem("Token missing, unknown, expired or revoked", "Could not validate credentials")}
TOO_MANY = {
    429: problem("Too many in too short a time: wait `Retry-After` seconds", "Too many pushes: 6000 per minute.")
}
UNAVAILABLE = {503: problem("Try again after `Retry-After` seconds", "The database is not available.")}
BODY_PROBLEMS = {
    411: problem("Body without a Content-Length", "Send the body with a Content-Length."),
    413: problem("Body too large", "The body is larger than 524288 bytes."),
    415: problem("Not declared as JSON", NOT_JSON),
    422: OpenApiResponse(
        ShapeProblemsSerializer,
        "Malformed JSON, a missing field, a wrong type",
        examples=[OpenApiExample("A field is missing", value=_SHAPE_EXAMPLE)],
    ),
}


IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 visible ASCII characters. A retry with it gets what the first request got.",
)


class PayloadProblemSerializer(ProblemSerializer):
    errors = ShapeProblemSerializer(  # type: ignore[assignment]  # the published name; REST framework takes the field away
        many=True, required=False, help_text="Each violation of the template's schema."
    )


_VIOLATION = {"loc": ["body", "payload", "amount"], "msg": 'the value is not of type "number"', "type": "type"}
PAYLOAD_PROBLEM = OpenApiResponse(
    PayloadProblemSerializer,
    "The payload is not what the template expects, or `flow_override` outside of the playground",
    examples=[
        OpenApiExample(
            "Violations",
            value={
                "detail": f"The payload is not what the template expects: amount: {_VIOLATION['msg']}",
                "errors": [_VIOLATION],
            },
        )
    ],
)
QUERY_PROBLEMS = {
    422: OpenApiResponse(
        ShapeProblemsSerializer,
        "A query parameter of a wrong form",
        examples=[
            OpenApiExample(
                "Too many",
                value={
                    "detail": [
                        {
                            "loc": ["query", "limit"],
                            "msg": "Ensure this value is less than or equal to 100.",
                            "type": "max_value",
                        }
                    ]
                },
            )
        ],
    )
}


class BearerScheme(OpenApiAuthenticationExtension):  # registers itself
    target_class = "access.bearer.BearerTokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": (
                "A JWT from `POST /login`, or a token from `POST /s2s-token`, `manage.py createtoken` or the admin."
            ),
        }

"""`/s2s-token`: makes, lists and revokes long-lived tokens for services."""

import uuid
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import ApiToken, Role
from access.models.holders import MAX_TOKEN_DAYS
from access.scope import MayGrant, scope_of
from common.api.fields import TextField
from common.api.pages import PARAMETERS, PageQuery, page_of, query_of
from common.api.request import as_uuid, checked
from common.errors import ShapeError
from common.openapi import BODY_PROBLEMS, EXAMPLE_TOKEN, QUERY_PROBLEMS, UNAUTHENTICATED, UNAVAILABLE, problem
from common.strict_json import StrictJSONParser


class GrantSerializer(serializers.Serializer[Any]):
    name = TextField(max_length=100, help_text="Who will hold it.")
    role = serializers.ChoiceField(
        choices=Role.choices, help_text="`admin` is refused: admins' tokens are made on the server."
    )
    reseller_id = TextField(max_length=100, required=False, allow_null=True)
    merchant_id = TextField(max_length=100, required=False, allow_null=True)
    reseller_ids = serializers.ListField(child=TextField(max_length=100), required=False, max_length=100)
    merchant_ids = serializers.ListField(child=TextField(max_length=100), required=False, max_length=100)
    expires_in_days = serializers.IntegerField(
        min_value=1,
        max_value=MAX_TOKEN_DAYS,
        required=False,
        allow_null=True,
        help_text="Without it, the token is valid until it is revoked.",
    )


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    id = serializers.UUIDField(source="uuid")
    role = serializers.ChoiceField(choices=Role.choices)
    reseller_ids = serializers.ListField(child=serializers.CharField())
    merchant_ids = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "hint",
            "role",
            "reseller_ids",
            "merchant_ids",
            "created_at",
            "expires_at",
            "revoked_at",
        ]
        read_only_fields = fields


class GrantedSerializer(TokenSerializer):
    success = serializers.BooleanField(default=True)
    access_token = serializers.CharField(help_text="A secret that is shown only once.")
    token_type = serializers.ChoiceField(choices=["bearer"])
    expires_in = serializers.IntegerField(allow_null=True, help_text="Seconds; null if valid until it is revoked.")

    class Meta(TokenSerializer.Meta):
        fields = ["success", "access_token", "token_type", "expires_in", *TokenSerializer.Meta.fields]
        read_only_fields = fields


class TokenPageSerializer(serializers.Serializer[Any]):
    results = TokenSerializer(many=True)
    next_cursor = serializers.UUIDField(allow_null=True)


EXAMPLE = {
    "id": EXAMPLE_TOKEN,
    "name": "checkout service",
    "hint": "bb_4f6a",
    "role": "merchant",
    "reseller_ids": ["demo"],
    "merchant_ids": ["demo"],
    "created_at": "2026-11-24T06:00:00Z",
    "expires_at": None,
    "revoked_at": None,
}
NOT_GRANTING = {403: problem("The caller is neither admin nor reseller, or it is another reseller", MayGrant.message)}


class TokensView(APIView):
    permission_classes = [MayGrant]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Make a token for a service",
        description=(
            "The token is valid until it is revoked, or for `expires_in_days`. A reseller makes tokens for its own "
            "resellers. Only the token's SHA-256 is stored."
        ),
        tags=["auth"],
        request=GrantSerializer,
        responses={
            201: GrantedSerializer,
            **UNAUTHENTICATED,
            **NOT_GRANTING,
            **BODY_PROBLEMS,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "For a merchant's service",
                request_only=True,
                value={"name": "checkout service", "role": "merchant", "reseller_id": "demo", "merchant_id": "demo"},
            ),
            OpenApiExample(
                "Made",
                response_only=True,
                status_codes=["201"],
                value={
                    "success": True,
                    "access_token": "bb_4f6a...",
                    "token_type": "bearer",
                    "expires_in": None,
                    **EXAMPLE,
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        values = checked(GrantSerializer, request)
        if values["role"] == Role.ADMIN:
            raise ShapeError(["body", "role"], "must be reseller, merchant or user", "invalid_choice")
        reseller_ids, merchant_ids = _ids(values, "reseller"), _ids(values, "merchant")
        scope = scope_of(request)
        if not reseller_ids and not scope.is_operator:
            raise ShapeError(["body", "reseller_id"], "This field is required.", "missing")
        scope.check_grant(reseller_ids)
        days = values.get("expires_in_days")
        token = ApiToken(
            name=values["name"],
            role=values["role"],
            reseller_ids=reseller_ids,
            merchant_ids=merchant_ids,
            expires_at=timezone.now() + timedelta(days=days) if days else None,
        )
        try:
            token.clean()
        except ValidationError as error:
            raise ShapeError(["body"], " ".join(error.messages), "scope") from None
        secret = token.make_secret()
        token.save()
        answer = TokenSerializer(token).data | {
            "success": True,
            "access_token": secret,
            "token_type": "bearer",
            "expires_in": days * 86_400 if days else None,
        }
        return Response(answer, status=201)

    @extend_schema(
        operation_id="list_tokens",
        summary="List the tokens that you may revoke",
        description="Newest first, including revoked and expired tokens. Secrets are never returned.",
        tags=["auth"],
        parameters=PARAMETERS,
        responses={200: TokenPageSerializer, **UNAUTHENTICATED, **NOT_GRANTING, **QUERY_PROBLEMS, **UNAVAILABLE},
        examples=[OpenApiExample("One", status_codes=["200"], value={"results": [EXAMPLE], "next_cursor": None})],
    )
    def get(self, request: Request) -> Response:
        query = query_of(PageQuery, request)
        tokens, cursor = page_of(scope_of(request).tokens(), query)
        return Response({"results": TokenSerializer(tokens, many=True).data, "next_cursor": cursor})


class TokenView(APIView):
    permission_classes = [MayGrant]

    @extend_schema(
        summary="Revoke a token",
        description="Takes effect with the next request and cannot be undone. May be repeated.",
        tags=["auth"],
        parameters=[OpenApiParameter("token_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            204: None,
            404: problem("Unknown, or not yours", f"Token not found: {EXAMPLE_TOKEN}"),
            **UNAUTHENTICATED,
            **NOT_GRANTING,
            **UNAVAILABLE,
        },
    )
    def delete(self, request: Request, token_id: str) -> Response:
        token = scope_of(request).tokens().filter(uuid=as_uuid(token_id)).first()
        if token is None:
            raise NotFound(f"Token not found: {token_id[:100]}")
        ApiToken.objects.filter(pk=token.pk).revoke()
        return Response(status=204)


def _ids(values: dict[str, Any], kind: str) -> list[str]:
    """Return the ids of a kind, given as the published single id, as a list, or as both."""
    one, several = values.get(f"{kind}_id"), values.get(f"{kind}_ids") or []
    return sorted({*([one] if one else []), *several})

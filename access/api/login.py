"""`POST /login` gives users of the admin a JWT for the API; `GET /auth/me` tells a caller who it is."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access import jwts
from access.login import count_address, log_in
from access.models import Role
from access.scope import MayRead, Scope, claims_of, scope_of
from common.api.fields import TextField
from common.api.request import checked
from common.errors import ShapeError
from common.openapi import BODY_PROBLEMS, TOO_MANY, UNAUTHENTICATED, UNAVAILABLE, problem
from common.strict_json import StrictJSONParser

NO_ROLE = "This user has no role: an administrator gives one in the admin, under Profiles"


class LoginSerializer(serializers.Serializer[Any]):
    email = TextField(max_length=254, required=False, help_text="Must belong to exactly one user. Or give `username`.")
    username = TextField(max_length=254, required=False, help_text="A user name or an email.")
    password = TextField(max_length=1000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("email") and not attrs.get("username"):
            raise serializers.ValidationError("Either 'email' or 'username' must be provided", code="missing")
        return attrs


class RoleSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=Role.choices)
    reseller_ids = serializers.ListField(child=serializers.CharField(), help_text="`*` stands for all.")
    merchant_ids = serializers.ListField(child=serializers.CharField(), help_text="`*` stands for all.")
    reseller_id = serializers.CharField(allow_null=True, help_text="Only if there is exactly one.")
    merchant_id = serializers.CharField(allow_null=True, help_text="Only if there is exactly one.")


class UserSerializer(RoleSerializer):
    id = serializers.CharField()
    username = serializers.CharField()
    email = serializers.CharField(allow_blank=True)


class LoggedInSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField(help_text="A JWT; send it as `Authorization: Bearer`.")
    token_type = serializers.ChoiceField(choices=["bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds.")
    user = UserSerializer()


EXAMPLE_USER = {
    "id": "7",
    "username": "asha",
    "email": "asha@example.com",
    "role": "reseller",
    "reseller_ids": ["demo"],
    "merchant_ids": ["*"],
    "reseller_id": "demo",
    "merchant_id": None,
}


class LoginView(APIView):
    authentication_classes = []
    permission_classes = []
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Log in",
        description="Returns a short-lived JWT for a person. Services use a token from `POST /s2s-token`.",
        tags=["auth"],
        auth=[],
        request=LoginSerializer,
        responses={
            200: LoggedInSerializer,
            403: problem("The user has no role", NO_ROLE),
            **BODY_PROBLEMS,
            **TOO_MANY,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "By email", request_only=True, value={"email": "asha@example.com", "password": "a good password"}
            ),
            OpenApiExample(
                "Logged in",
                response_only=True,
                status_codes=["200"],
                value={
                    "access_token": "eyJhbGciOi...",
                    "token_type": "bearer",
                    "expires_in": 3600,
                    "user": EXAMPLE_USER,
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        values = checked(LoginSerializer, request)
        count_address(request._request)
        user = log_in(request._request, values.get("username") or values["email"], values["password"])
        if user is None:
            raise ShapeError(["body"], "Invalid username or password", "invalid_credentials")
        scope = Scope.of_user(user)
        if scope is None:
            raise PermissionDenied(NO_ROLE)
        return Response(
            {
                "access_token": jwts.issue(user, scope),
                "token_type": "bearer",
                "expires_in": int(jwts.lifetime().total_seconds()),
                "user": {"id": str(user.pk), **described(scope)},
            }
        )


class MeView(APIView):
    permission_classes = [MayRead]

    @extend_schema(
        summary="Whose token is this?",
        tags=["auth"],
        responses={200: UserSerializer, **UNAUTHENTICATED, **UNAVAILABLE},
        examples=[OpenApiExample("A user", value=EXAMPLE_USER)],
    )
    def get(self, request: Request) -> Response:
        scope = scope_of(request)
        return Response({"id": scope.holder.removeprefix("user "), **described(scope)})


def described(scope: Scope) -> dict[str, Any]:
    claims = claims_of(scope)
    return {
        "username": scope.name,
        "email": scope.email,
        **claims,
        "reseller_id": _the_one(claims["reseller_ids"]),
        "merchant_id": _the_one(claims["merchant_ids"]),
    }


def _the_one(ids: list[str]) -> str | None:
    return ids[0] if len(ids) == 1 and ids != ["*"] else None

"""Serializer fields that convert nothing: a number is refused where text is expected, and text is not trimmed."""

import uuid
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


class TextField(serializers.CharField):
    """Text with at least one visible character."""

    default_error_messages = {"invalid": "must be text", "blank": "must not be empty", "null": "must not be null"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str) and not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class UUIDField(serializers.UUIDField):
    """A UUID as text, in any of its usual spellings."""

    default_error_messages = {"invalid": "must be a valid UUID", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> uuid.UUID:
        try:
            return uuid.UUID(data)
        except (ValueError, AttributeError, TypeError):
            self.fail("invalid")


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object with any content."""

    default_error_messages = {"invalid": "must be an object", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


@extend_schema_field({"type": "string", "nullable": True, "default": None})
class UnsetField(serializers.Field[None, None, None, Any]):
    """A published field that nothing sets yet: always null."""

    def __init__(self) -> None:
        super().__init__(read_only=True)

    def get_attribute(self, instance: Any) -> None:
        return None

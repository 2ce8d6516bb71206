"""A serializer field for the address of a webhook."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.fields import TextField
from leads.webhooks.addresses import Destinations


@extend_schema_field(OpenApiTypes.URI)
class WebhookAddressField(TextField):
    """Where something may be sent (leads.webhooks.addresses)."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if problem := Destinations.from_settings().problem_with(text):
            raise serializers.ValidationError(problem, code="address")
        return text

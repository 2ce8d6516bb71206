"""Templates, and the leads that are made from them."""

from leads.models.lead import (
    TELEPHONY_MODES,
    WEB_MODES,
    ExecutionMode,
    Lead,
    LeadStatus,
    PlatformStatus,
    ProviderReason,
    ProviderStatus,
)
from leads.models.template import Template
from leads.models.webhook_delivery import DeliveryStatus, WebhookDelivery

__all__ = [
    "TELEPHONY_MODES",
    "WEB_MODES",
    "DeliveryStatus",
    "ExecutionMode",
    "Lead",
    "LeadStatus",
    "PlatformStatus",
    "ProviderReason",
    "ProviderStatus",
    "Template",
    "WebhookDelivery",
]

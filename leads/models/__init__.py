"""Templates, the leads that are made from them, and who may call the API."""

from leads.models.allowance import RateAllowance
from leads.models.holders import ApiToken, Holder, Profile, Role
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
    "ApiToken",
    "DeliveryStatus",
    "ExecutionMode",
    "Holder",
    "Lead",
    "LeadStatus",
    "PlatformStatus",
    "Profile",
    "ProviderReason",
    "ProviderStatus",
    "RateAllowance",
    "Role",
    "Template",
    "WebhookDelivery",
]

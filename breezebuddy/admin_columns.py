"""What the admin pages of all apps share: read-only rows, links and masked JSON."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from breezebuddy.durations import NONE
from breezebuddy.masking import masked


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that the service writes: people look. Every shown field is listed, so that a new one is not shown unseen."""

    show_full_result_count = False  # counting a million ended rows takes longer than showing a page
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def link(target: Model | None, text: str = "") -> SafeString | str:
    """To the admin page of a row."""
    if target is None:
        return NONE
    name = f"admin:{target._meta.app_label}_{target._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[target.pk]), text or str(target))


def search_link(changelist: str, query: object, text: str) -> SafeString:
    """To the rows of another list that match; `changelist` is such as "leads_lead"."""
    return format_html('<a href="{}?q={}">{}</a>', reverse(f"admin:{changelist}_changelist"), query, text)


def short(uuid: object) -> str:
    """The first eight characters tell rows apart; the search finds by the whole."""
    return str(uuid)[:8]


def json_block(value: Any) -> SafeString:
    """JSON for reading, with phone numbers and secrets masked."""
    return format_html("<pre>{}</pre>", json.dumps(masked(value), indent=2, ensure_ascii=False))

"""What the admin pages of all apps share: read-only rows, links and masked JSON."""

import json
from collections.abc import Sequence
from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import id_search
from common.admin_lists import ListAdmin
from common.durations import NONE
from common.masking import masked


class ReadOnlyAdmin(ListAdmin):
    """Rows that the service writes: people look. Every shown field is listed, so that a new one is not shown unseen."""

    search_ids: Sequence[str] = ()  # with these, the search is by the beginning of ids and names
    search_names: Sequence[str] = ()
    show_full_result_count = False  # counting a million ended rows takes longer than showing a page
    list_per_page = 50

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return super().get_search_fields(request) or [*self.search_ids, *self.search_names]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not self.search_ids or not search_term.strip():
            return super().get_search_results(request, queryset, search_term)
        return id_search.found(queryset, search_term.strip(), self.search_ids, self.search_names), False

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
    return format_html('<pre class="ck-json">{}</pre>', json.dumps(masked(value), indent=2, ensure_ascii=False))

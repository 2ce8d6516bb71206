"""Base classes and helpers of the admin pages of all apps.

Lists filter by what their filters offer, and by nothing else. Django takes any lookup of a model's own fields from the
URL (`?payload__phone__startswith=+9198`); with it, a user with view permission could read letter by letter what the
pages mask.
"""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import DataError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from common import id_search
from common.display import NONE
from common.masking import masked


class OfferedFilters(ChangeList):
    """A lookup that no filter of the list has taken is refused; a value that the database cannot take is ignored."""

    def get_filters(self, request: HttpRequest) -> Any:
        filters = super().get_filters(request)
        left = filters[2]
        if left:
            raise DisallowedModelAdminLookup(f"No filter of this list offers {', '.join(left)}")
        return filters

    def get_results(self, request: HttpRequest) -> None:
        try:
            with transaction.atomic():  # which a value that the database refuses leaves usable
                super().get_results(request)
        except DataError as error:
            raise IncorrectLookupParameters(error) from error


class ListAdmin(ModelAdmin):
    """The base of all our admin pages."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OfferedFilters


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


class OfferedAutocomplete(AutocompleteJsonView):
    """Completes the fields that a form completes, not any relation that a request names."""

    def process_request(self, request: HttpRequest) -> Any:
        asked = tuple(request.GET.get(name, "") for name in ("app_label", "model_name", "field_name"))
        if asked not in _completed(self.admin_site):
            raise PermissionDenied
        return super().process_request(request)


def _completed(site: Any) -> set[tuple[str, str, str]]:
    return {
        (model._meta.app_label, model._meta.model_name, field)
        for model, registered in site._registry.items()
        for field in registered.autocomplete_fields
    }

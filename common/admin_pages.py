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
    """Refuses a lookup that none of the list's filters offers, and ignores a value that the database cannot take."""

    def get_filters(self, request: HttpRequest) -> Any:
        filters = super().get_filters(request)
        left = filters[2]
        if left:
            raise DisallowedModelAdminLookup(f"No filter of this list offers {', '.join(left)}")
        return filters

    def get_results(self, request: HttpRequest) -> None:
        try:
            with transaction.atomic():  # after a value that the database refuses, the connection stays usable
                super().get_results(request)
        except DataError as error:
            raise IncorrectLookupParameters(error) from error


class ListAdmin(ModelAdmin):
    """Base class of all admin pages."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OfferedFilters


class ReadOnlyAdmin(ListAdmin):
    """Base class for rows that only the service writes. Each field is named, so that no new one is shown by accident.

    `search_ids` and `search_names`: with them, the search finds rows by the prefix of an id or a name, by index.
    """

    search_ids: Sequence[str] = ()
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
    """Return a link to the admin page of a row, or "-" if there is none."""
    if target is None:
        return NONE
    name = f"admin:{target._meta.app_label}_{target._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[target.pk]), text or str(target))


def search_link(changelist: str, query: object, text: str) -> SafeString:
    """Return a link to another list, with a search filled in. `changelist`: the list's name, such as "leads_lead"."""
    return format_html('<a href="{}?q={}">{}</a>', reverse(f"admin:{changelist}_changelist"), query, text)


def short(uuid: object) -> str:
    """Return the first eight characters of a UUID, which tell rows apart; the search takes the whole."""
    return str(uuid)[:8]


def json_block(value: Any) -> SafeString:
    """Return a value as indented JSON, with phone numbers and secrets masked."""
    return format_html('<pre class="ck-json">{}</pre>', json.dumps(masked(value), indent=2, ensure_ascii=False))


class OfferedAutocomplete(AutocompleteJsonView):
    """Offers completions for the fields that the admin's forms complete, not for any relation that a request names."""

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

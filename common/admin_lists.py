"""Lists of the admin that filter by what their filters offer, and by nothing else.

Django takes any lookup of a model's own fields from the address (`?payload__phone__startswith=+9198`). With it, a user
who may only look could read letter by letter what the pages mask.
"""

from typing import Any

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import DataError, transaction
from django.http import HttpRequest
from unfold.admin import ModelAdmin


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

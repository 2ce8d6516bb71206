"""Admin pages of API tokens (made and revoked here) and of the profiles of users."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from access.models import ApiToken, Holder, Profile, Role
from common.admin_pages import ListAdmin
from common.display import since


class IdsField(forms.CharField):
    """A list of ids, typed with commas or white space between them."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return super().clean(value).replace(",", " ").split()


class RoleField(forms.ChoiceField):
    """A role without a default, so that nobody becomes an admin by leaving a form as it is."""

    widget = UnfoldAdminSelectWidget

    def __init__(self) -> None:
        super().__init__(choices=[("", "Choose a role"), *Role.choices])


class ApiTokenForm(forms.ModelForm):
    role = RoleField()
    reseller_ids = IdsField(required=False, help_text="For reseller, merchant and user; separated by commas.")
    merchant_ids = IdsField(required=False, help_text="For merchant and user; separated by commas.")
    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=36_500,
        help_text="Empty: valid until revoked.",
        widget=UnfoldAdminIntegerFieldWidget,
    )

    class Meta:
        model = ApiToken
        fields = ["name", "role", "reseller_ids", "merchant_ids"]


@admin.register(ApiToken)
class ApiTokenAdmin(ListAdmin):
    """Tokens are made and revoked, never changed: their holders rely on what a token allows."""

    form = ApiTokenForm
    list_display = ["name", "hint_", "role", "scope", "state", "created_at", "expires_at"]
    list_filter = ["role", ("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "hint", "uuid"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        if obj is None:
            return ["name", "role", "reseller_ids", "merchant_ids", "days"]
        return ["name", "uuid", "hint_", "role", "scope", "state", "created_at", "expires_at", "revoked_at"]

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("access.change_apitoken")

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        days = form.cleaned_data["days"]
        if days:
            obj.expires_at = timezone.now() + timedelta(days=days)
        secret = obj.make_secret()
        obj.save()
        messages.warning(request, f"The token, shown this once: {secret}")

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        count = ApiToken.objects.filter(pk__in=queryset.values("pk")).revoke()
        messages.success(request, f"{count} tokens revoked.")

    @admin.display(description="begins with", ordering="hint")
    def hint_(self, token: ApiToken) -> str:
        return f"{token.hint}…"

    @admin.display(description="scope")
    def scope(self, token: ApiToken) -> str:
        return scope_text(token)

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        if token.revoked_at:
            return f"revoked {since(token.revoked_at)} ago"
        if token.expires_at and token.expires_at <= timezone.now():
            return f"expired {since(token.expires_at)} ago"
        return "usable"


class ProfileForm(forms.ModelForm):
    role = RoleField()
    reseller_ids = IdsField(required=False, help_text="For reseller, merchant, user; separated by commas; * for all.")
    merchant_ids = IdsField(required=False, help_text="For merchant and user; separated by commas; * for all.")

    class Meta:
        model = Profile
        fields = ["user", "role", "reseller_ids", "merchant_ids"]


@admin.register(Profile)
class ProfileAdmin(ListAdmin):
    form = ProfileForm
    list_display = ["user", "role", "scope"]
    list_filter = ["role"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__email"]
    autocomplete_fields = ["user"]

    @admin.display(description="scope")
    def scope(self, profile: Profile) -> str:
        return scope_text(profile)


def scope_text(holder: Holder) -> str:
    ids = {"resellers": holder.reseller_ids, "merchants": holder.merchant_ids}
    parts = [f"{kind} {', '.join(named)}" for kind, named in ids.items() if named]
    return "; ".join(parts) or "everything"

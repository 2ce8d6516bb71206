"""Admin pages of users, groups and rate allowances.

View permissions are enough for users who only read; operators need change permissions.
"""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.models import RateAllowance
from common.admin_pages import ListAdmin, ReadOnlyAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class ThemedUserAdmin(UserAdmin, ListAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class ThemedGroupAdmin(GroupAdmin, ListAdmin):
    pass


@admin.register(RateAllowance)
class RateAllowanceAdmin(ReadOnlyAdmin):
    list_display = ["key", "used_up_to"]
    fields = ["key", "used_up_to"]
    ordering = ["-used_up_to"]

"""Users and groups, in the theme. Give view permissions to who looks and change permissions to who steers."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from common.admin_lists import ListAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class ThemedUserAdmin(UserAdmin, ListAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class ThemedGroupAdmin(GroupAdmin, ListAdmin):
    pass

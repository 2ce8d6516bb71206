"""The composition root: puts the apps together."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class BreezeBuddyConfig(AppConfig):
    name = "breezebuddy"
    default = True

    def ready(self) -> None:
        from leads.outcomes import session_ended
        from leads.visibility import may_see_session
        from pools.sessions import owner

        owner.register(owner.Owner(session_ended, may_see_session))


class BreezeBuddyAdminConfig(admin_apps.AdminConfig):
    """Django's admin, with our site instead of its own."""

    default_site = "breezebuddy.admin_site.BreezeBuddyAdminSite"
    default = False

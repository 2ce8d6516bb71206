from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class CockpitConfig(AppConfig):
    name = "cockpit"
    default = True


class CockpitAdminConfig(AdminConfig):
    """Django's admin, with our site instead of its own."""

    default_site = "cockpit.site.CockpitSite"
    default = False

"""The admin pages of leads; importing this registers them all."""

from leads.admin import holders, leads, templates, throttles

__all__ = ["holders", "leads", "templates", "throttles"]

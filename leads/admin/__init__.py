"""The admin pages of leads; importing this registers them all."""

from leads.admin import leads, templates, webhooks

__all__ = ["leads", "templates", "webhooks"]

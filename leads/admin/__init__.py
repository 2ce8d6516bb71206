"""The admin pages of leads; importing this registers them all."""

from leads.admin import holders, leads, rates, templates, webhooks

__all__ = ["holders", "leads", "rates", "templates", "webhooks"]

"""The admin pages of leads; importing this registers them all."""

from leads.admin import leads, templates, webhook_deliveries

__all__ = ["leads", "templates", "webhook_deliveries"]

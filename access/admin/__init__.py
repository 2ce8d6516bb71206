"""The admin pages of tokens, profiles, rates, users and groups; importing this registers them all."""

from access.admin import holders, people, rates

__all__ = ["holders", "people", "rates"]

"""The admin pages of tokens, profiles, users, groups and rates; importing this registers them all."""

from access.admin import holders, people

__all__ = ["holders", "people"]

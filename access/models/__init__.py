"""Who may call the API: holders of tokens, profiles of users, and how far callers have used up their rates."""

from access.models.allowance import RateAllowance
from access.models.holders import ApiToken, Holder, Profile, Role

__all__ = ["ApiToken", "Holder", "Profile", "RateAllowance", "Role"]

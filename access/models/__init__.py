"""The models of those who may call the API: tokens, profiles of users, and used-up rates."""

from access.models.allowance import RateAllowance
from access.models.holders import ApiToken, Holder, Profile, Role

__all__ = ["ApiToken", "Holder", "Profile", "RateAllowance", "Role"]

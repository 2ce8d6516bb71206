"""The admin's log-in form, with the limits of `POST /login`."""

from typing import Any

from unfold.forms import AuthenticationForm

from access.login import log_in


class LoginForm(AuthenticationForm):
    """Its view calls `count_address` first. `clean` raises Throttled for an attempt beyond the limits."""

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not name or not password:
            return self.cleaned_data
        self.user_cache = log_in(self.request, name, password)
        if self.user_cache is None:
            raise self.get_invalid_login_error()
        self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data

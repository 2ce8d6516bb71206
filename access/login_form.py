"""The admin's log-in form, with the limits of `POST /login`."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework.exceptions import Throttled
from unfold.forms import AuthenticationForm

from access.login import log_in


class LoginForm(AuthenticationForm):
    """`retry_after`: seconds after which the next attempt is accepted, if this one was throttled."""

    retry_after: int | None = None

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not name or not password:
            return self.cleaned_data
        try:
            self.user_cache = log_in(self.request, name, password)
        except Throttled as error:
            self.retry_after = int(getattr(error, "wait", None) or 1)
            message = f"Too many attempts to log in. Try again in {self.retry_after} s."
            raise ValidationError(message, code="throttled") from None
        if self.user_cache is None:
            raise self.get_invalid_login_error()
        self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data

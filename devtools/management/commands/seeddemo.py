"""manage.py seeddemo: creates what `make run` and `make demo` need in a development database."""

import json
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from access.models import ApiToken, Role
from leads.models import Template

ADMIN_USER = "admin"
TOKEN_NAME = "development"  # noqa: S105  # a name
CONFIGURATIONS = {
    "prompt": (
        "You are Breeze Buddy, a friendly voice assistant for an online shop. Greet the customer by name if you know "
        "it, keep every answer to one or two short sentences, and ask one question at a time."
    ),
    "first_message": "Hello {customer_name}! This is Breeze Buddy. How can I help you today?",
    "outcomes": {"HELPED": "the question is answered", "CALL_BACK": "a person should call back", "NO_INTEREST": ""},
}


class Command(BaseCommand):
    help = (
        "Create the template `demo` (reseller demo, merchant demo), the superuser `admin` and an admin's API token. "
        'Print {"token", "admin_user", "admin_password"} as JSON. Another run keeps a token and a password that work.'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from",
            dest="earlier",
            type=Path,
            metavar="FILE",
            help="JSON of an earlier run: its token and password are kept as long as they work",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="also seed the database of DATABASE_URL; this creates an administrator in it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DATABASE_URL and not options["force"]:
            raise CommandError("DATABASE_URL is set: this may be no development database. Use --force if it is.")
        earlier = _read(options["earlier"])
        with transaction.atomic():
            Template.objects.get_or_create(
                name="demo", reseller_id="demo", merchant_id="demo", defaults={"configurations": CONFIGURATIONS}
            )
            values = {
                "token": _working_token(earlier.get("token")),
                "admin_user": ADMIN_USER,
                "admin_password": _working_password(earlier.get("admin_password")),
            }
        self.stdout.write(json.dumps(values))


def _read(path: Path | None) -> dict[str, Any]:
    """Return the values of an earlier run; none if the file is absent or damaged."""
    try:
        values = json.loads(path.read_text()) if path else {}
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _working_token(secret: object) -> str:
    tokens = ApiToken.objects.usable().filter(role=Role.ADMIN)
    if isinstance(secret, str) and secret.isascii() and tokens.filter(digest=ApiToken.digest_of(secret)).exists():
        return secret
    tokens.filter(name=TOKEN_NAME).revoke()  # nobody knows them any more
    return ApiToken.issue(name=TOKEN_NAME, role=Role.ADMIN)[1]


def _working_password(password: object) -> str:
    User = get_user_model()
    user = User.objects.filter(username=ADMIN_USER).first()
    if user and isinstance(password, str) and user.is_superuser and user.is_active and user.check_password(password):
        return password
    password = secrets.token_urlsafe(12)
    if user is None:
        User.objects.create_superuser(ADMIN_USER, password=password)
        return password
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    return password

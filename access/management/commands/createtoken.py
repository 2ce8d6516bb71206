"""`manage.py createtoken` makes an API token and prints it once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.models import ApiToken, Role
from access.models.holders import MAX_TOKEN_DAYS


class Command(BaseCommand):
    help = "Makes an API token and prints it. Only its SHA-256 is stored, so it cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="who will hold the token")
        parser.add_argument(
            "--role",
            required=True,
            choices=Role.values,
            help="admin: everything; reseller: the resellers named; merchant: the merchants named; user: reads only",
        )
        parser.add_argument("--reseller", action="append", default=[], metavar="ID", help="may be given several times")
        parser.add_argument("--merchant", action="append", default=[], metavar="ID", help="may be given several times")
        parser.add_argument("--days", type=int, help="for how many days it is valid; without it until it is revoked")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        if days is not None and not 1 <= days <= MAX_TOKEN_DAYS:
            raise CommandError(f"--days must be from 1 to {MAX_TOKEN_DAYS}")
        values: dict[str, Any] = {
            "name": options["name"].strip(),
            "role": options["role"],
            "reseller_ids": options["reseller"],
            "merchant_ids": options["merchant"],
            "expires_at": timezone.now() + timedelta(days=days) if days else None,
        }
        try:
            ApiToken(**values).full_clean(exclude=["digest", "hint"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        _, secret = ApiToken.issue(**values)
        self.stdout.write(secret)

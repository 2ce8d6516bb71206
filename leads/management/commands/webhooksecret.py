"""`manage.py webhooksecret RESELLER` prints the secret with which a reseller verifies webhooks."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leads.models import Template
from leads.webhooks import signing


class Command(BaseCommand):
    help = (
        "Prints the secret with which a reseller verifies our webhooks (docs/webhooks.md). It is derived from the "
        "first of REPORTING_WEBHOOK_KEYS, or from SECRET_KEY if there is none; it is not stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("reseller_id", metavar="RESELLER", help="the reseller's id, as in its templates")

    def handle(self, *args: Any, **options: Any) -> None:
        reseller_id = options["reseller_id"]
        if not Template.objects.filter(reseller_id=reseller_id).exists():
            raise CommandError(f"no template has the reseller id {reseller_id!r}")
        self.stdout.write(signing.secret_of(reseller_id, signing.keys()[0]))

"""manage.py importdata: restores a file of exportdata into the empty database of DATABASE_URL."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from devtools.database_dump import DumpFailed, restore


class Command(BaseCommand):
    help = (
        "Read a file of `manage.py exportdata` into the empty database of DATABASE_URL, in one transaction. "
        "Then apply the migrations that it lacks."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if not settings.DATABASE_URL:
            raise CommandError("set DATABASE_URL to the database that is to have the data")
        if not file.is_file():
            raise CommandError(f"there is no file {file}")
        if tables := connection.introspection.table_names():
            raise CommandError(f"the database is not empty ({len(tables)} tables): make a new one (createdb)")
        parameters = connection.get_connection_params()
        connection.close()
        try:
            restore(parameters, file)
        except (DumpFailed, OSError) as error:
            raise CommandError(str(error)) from None
        call_command("migrate", verbosity=options["verbosity"])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
            for table in ("leads_lead", "leads_template", "pools_voicesession"):
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of ours
                self.stdout.write(f"{table}: {cursor.fetchone()[0]} rows")

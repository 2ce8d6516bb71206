"""Schema changes on a database that is in use: nothing that takes long is done while others are locked out.

Django's migrations lock a table for as long as they build its indexes or read all of it to prove a constraint. While
`SchemaEditor.gentle` is on, they leave that out for tables that were there before: indexes are not built, constraints
are not proved (NOT VALID: new rows are checked). `unfinished` then says what the models of the applied migrations lack,
as statements that lock nobody out, one by one outside of a transaction: so what an interrupted run has left undone, the
next one does. `manage.py migrate` is where it is used.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.ddl_references import Statement
from django.db.backends.postgresql import schema
from django.db.models import CheckConstraint, Index, Model, UniqueConstraint
from django.db.models.constraints import BaseConstraint

UNPROVED = """
SELECT format('ALTER TABLE %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint WHERE NOT convalidated AND connamespace = current_schema()::regnamespace ORDER BY 1"""
INDEXES = """
SELECT class.relname, index.indisvalid FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
WHERE class.relnamespace = current_schema()::regnamespace"""


class SchemaEditor(schema.DatabaseSchemaEditor):
    gentle: ClassVar[bool] = False

    def __init__(self, connection: BaseDatabaseWrapper, collect_sql: bool = False, atomic: bool = True) -> None:
        super().__init__(connection, collect_sql, atomic)
        self._new: set[str] = set()

    def create_model(self, model: type[Model]) -> None:
        self._new.add(model._meta.db_table)
        super().create_model(model)

    def add_index(self, model: type[Model], index: Index, concurrently: bool = False) -> None:
        if concurrently or not self._in_use(model):
            super().add_index(model, index, concurrently)

    def add_constraint(self, model: type[Model], constraint: BaseConstraint) -> None:
        if not self._in_use(model):
            super().add_constraint(model, constraint)
        elif isinstance(constraint, CheckConstraint):
            self.execute(f"{constraint.create_sql(model, self)} NOT VALID", params=None)
        elif not is_index(constraint):
            super().add_constraint(model, constraint)

    def _field_indexes_sql(self, model: type[Model], field: Any) -> list[Statement]:
        return [] if self._in_use(model) else super()._field_indexes_sql(model, field)  # type: ignore[misc]

    def _in_use(self, model: type[Model]) -> bool:
        return self.gentle and model._meta.db_table not in self._new


def is_index(constraint: BaseConstraint) -> bool:
    """PostgreSQL keeps a conditional one as an index alone."""
    return isinstance(constraint, UniqueConstraint) and bool(constraint.condition or constraint.contains_expressions)


def unfinished(connection: BaseDatabaseWrapper, apps: Apps, labels: set[str]) -> Iterator[str]:
    """What the models of these apps lack in the database, as statements that lock nobody out."""
    with connection.cursor() as cursor:
        cursor.execute(INDEXES)
        valid = dict(cursor.fetchall())
        cursor.execute(UNPROVED)
        unproved = [statement for (statement,) in cursor.fetchall()]
    for name, statement in _indexes(connection, [m for m in apps.get_models() if m._meta.app_label in labels]):
        if not valid.get(name):
            if name in valid:  # a build was interrupted
                yield f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"'
            yield statement
    yield from unproved


def _indexes(connection: BaseDatabaseWrapper, models: list[type[Model]]) -> Iterator[tuple[str, str]]:
    """Their names and how they are built, of all models: Meta's, those of fields, and conditional constraints."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        for model in models:
            statements = editor._model_indexes_sql(model)  # type: ignore[attr-defined]
            statements += [c.create_sql(model, editor) for c in model._meta.constraints if is_index(c)]
            for statement in filter(None, statements):
                text = str(statement).replace("INDEX ", "INDEX CONCURRENTLY ", 1)
                yield str(statement.parts["name"]).strip('"'), text

"""Changes the schema of a database that is in use, without locking tables for long. Used by `manage.py migrate`.

Django's migrations lock a table for as long as they build its indexes or read all of it to validate a constraint.
While `SchemaEditor.gentle` is on, both are left out for tables that exist already: indexes are not built, and
constraints are added NOT VALID, so that only new rows are checked. Afterwards `unfinished` lists what the models still
lack, as statements that block nobody, to be run one by one outside of a transaction. An interrupted run is completed
by the next one.
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
    """Return whether PostgreSQL keeps a constraint as an index only, as it does with a conditional unique one."""
    return isinstance(constraint, UniqueConstraint) and bool(constraint.condition or constraint.contains_expressions)


def unfinished(connection: BaseDatabaseWrapper, apps: Apps, labels: set[str]) -> Iterator[str]:
    """Yield the statements that complete the schema of these apps. None of them blocks readers or writers."""
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
    """Yield name and CREATE INDEX statement of all indexes: of Meta, of fields and of conditional constraints."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        for model in models:
            statements = editor._model_indexes_sql(model)  # type: ignore[attr-defined]
            statements += [c.create_sql(model, editor) for c in model._meta.constraints if is_index(c)]
            for statement in filter(None, statements):
                text = str(statement).replace("INDEX ", "INDEX CONCURRENTLY ", 1)
                yield str(statement.parts["name"]).strip('"'), text

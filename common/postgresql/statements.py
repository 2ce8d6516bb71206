"""Keeps the ORM's most frequent statements: each is built once per process, and prepared once per connection.

For the ORM, building a statement takes several times as long as PostgreSQL needs to run it. `Select`, `Update` and
`Insert` keep the text; values that differ from run to run are `Parameter`s. All other values are part of the text,
because PostgreSQL uses a partial index only if the statement contains the index's condition.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models import sql
from django.db.models.expressions import Expression
from django.db.models.query import get_related_populators
from django.db.models.sql.compiler import SQLCompiler
from psycopg.sql import Literal

from common.postgresql.prepared import prepared_cursor

M = TypeVar("M", bound=models.Model)


class Parameter(Expression):
    """A value that is given when the statement runs. `field`: the type of the value."""

    def __init__(self, name: str, field: Any) -> None:
        super().__init__(output_field=field)
        self.name, self.is_json = name, isinstance(field, models.JSONField)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


class Statement:
    """Text with its constants filled in, and the parameters that are left in it, in their order."""

    def __init__(self, text: str, values: Sequence[Any]) -> None:
        self.text = text % tuple("%s" if isinstance(value, Parameter) else _literal(value) for value in values)
        self.parameters = [value for value in values if isinstance(value, Parameter)]

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the values of the parameters, in the order of the text. psycopg converts all types but JSON."""
        return [
            parameter.output_field.get_db_prep_save(given[parameter.name], connection)
            if parameter.is_json
            else given[parameter.name]
            for parameter in self.parameters
        ]


def _literal(value: Any) -> str:
    return Literal(value).as_string().replace("%", "%%")


class Select(Statement, Generic[M]):
    """The rows of a queryset, with its annotations and the related rows that it selects."""

    def __init__(self, queryset: "models.QuerySet[M, Any]") -> None:
        compiler = _Compiler(queryset.query, connection, DEFAULT_DB_ALIAS)
        super().__init__(*compiler.as_sql())
        self._model, self._compiler = queryset.model, compiler
        selected = compiler.klass_info["select_fields"]
        self._own = slice(selected[0], selected[-1] + 1)
        self._names = [column.target.attname for column, *_ in compiler.select[self._own]]
        self._converters = compiler.get_converters([column for column, *_ in compiler.select])
        self._related = get_related_populators(  # type: ignore[call-arg]
            compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS
        )

    def rows(self, **given: Any) -> list[M]:
        with prepared_cursor() as cursor:
            cursor.execute(self.text, self.values(given))
            rows = cursor.fetchall()
        if self._converters:
            rows = self._compiler.apply_converters(rows, self._converters)
        return [self._instance(row) for row in rows]

    def first(self, **given: Any) -> M | None:
        return next(iter(self.rows(**given)), None)

    def _instance(self, row: Sequence[Any]) -> M:
        """Build an instance as the ORM would have read it."""
        instance = self._model.from_db(DEFAULT_DB_ALIAS, self._names, row[self._own])
        for name, column in self._compiler.annotation_col_map.items():
            setattr(instance, name, row[column])
        for populator in self._related:
            populator.populate(row, instance)
        return instance


class _Compiler(SQLCompiler):
    """Selects texts without their longest length: a migration may raise it, and PostgreSQL refuses to run a prepared
    statement whose columns have changed their types."""

    def get_select(self, with_col_aliases: bool = False) -> Any:
        columns, *others = super().get_select(with_col_aliases)
        return [(column, self._without_length(column, *text), alias) for column, text, alias in columns], *others

    def _without_length(self, column: Any, text: str, values: Any) -> tuple[str, Any]:
        return f"{text}::text" if isinstance(column.output_field, models.CharField) else text, values


class Update(Statement):
    """An update of the rows of a queryset."""

    def __init__(self, queryset: "models.QuerySet[Any, Any]", **new: Any) -> None:
        query = queryset.query.chain(sql.UpdateQuery)
        query.add_update_values(new)  # type: ignore[attr-defined]
        super().__init__(*query.get_compiler(DEFAULT_DB_ALIAS).as_sql())

    def run(self, **given: Any) -> int:
        """Run the update; return how many rows it has changed."""
        with prepared_cursor() as cursor:
            cursor.execute(self.text, self.values(given))
            return int(cursor.rowcount)


class Insert(Statement):
    """An insert of a row, with `updates` of other rows in the same round trip.

    `changing`: the fields that differ from row to row; the others have their defaults. The parameters of the updates
    are fields of the new row too.
    """

    def __init__(self, model: type[models.Model], changing: Iterable[str], updates: Sequence[Update] = ()) -> None:
        fields: list[Any] = [model._meta.get_field(name) for name in changing]
        query = sql.InsertQuery(model)
        row = model(**{field.attname: Parameter(field.attname, field) for field in fields})
        query.insert_values([field for field in model._meta.concrete_fields if not field.primary_key], [row])
        compiler = query.get_compiler(DEFAULT_DB_ALIAS)
        compiler.returning_fields = [model._meta.pk]
        [(text, values)] = compiler.as_sql()
        super().__init__(text, values)
        before = ", ".join(f"update_{number} AS ({update.text})" for number, update in enumerate(updates))
        self.text = f"WITH {before} {self.text}" if updates else self.text
        self.parameters = [each for update in updates for each in update.parameters] + self.parameters

    def save(self, row: models.Model) -> None:
        """Insert a row and set its primary key, as `row.save()` would."""
        with prepared_cursor() as cursor:
            cursor.execute(self.text, self.values(vars(row)))
            (row.pk,) = cursor.fetchone()
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS

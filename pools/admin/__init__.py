"""Admin pages of the rows. Rows that the service writes are read-only; actions (pools.dashboard.verbs) control it."""

from pools.admin import operators, pods, records, sessions, stock

__all__ = ["operators", "pods", "records", "sessions", "stock"]

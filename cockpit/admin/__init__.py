"""Pages of the rows. Those that the service writes cannot be changed here; verbs (cockpit.verbs) steer it."""

from cockpit.admin import audit, daily, numbers, orders, people, pods, rollouts, sessions, stock

__all__ = ["audit", "daily", "numbers", "orders", "people", "pods", "rollouts", "sessions", "stock"]

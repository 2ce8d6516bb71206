"""Pages of the rows. Those that the service writes cannot be changed here; verbs (pools.dashboard.verbs) steer it."""

from pools.admin import audit, daily, numbers, orders, pods, rollouts, sessions, stock

__all__ = ["audit", "daily", "numbers", "orders", "pods", "rollouts", "sessions", "stock"]

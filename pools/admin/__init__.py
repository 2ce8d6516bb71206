"""What the pools are doing and since when. Nothing here can be changed: the rows are `runpools`' own."""

from pools.admin import daily, pods, sessions, stock

__all__ = ["daily", "pods", "sessions", "stock"]

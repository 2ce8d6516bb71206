"""Decisions as pure functions of counts, settings and times: how many items to keep, what to do next. No Django."""

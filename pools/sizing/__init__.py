"""Recommends sizes of the pools, and simulates them with the decision code of production.

Only `recorded.py`, which reads recorded sessions, uses Django. The formula is in `pools/decisions/demand.py`, because
the pods follow it too.
"""

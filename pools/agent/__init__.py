"""Agent processes: what the supervisor holds of them (launcher, channel) and what runs inside them.

Nothing in this package imports Django; launcher, channel, environment and spool import only the standard library.
A bot may `from pools.agent import report`, and `claimed_body` if it can join before it is wanted.
"""

from pools.agent.prejoin import claimed_body
from pools.agent.reporting import report

__all__ = ["claimed_body", "report"]

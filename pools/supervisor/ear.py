"""The pod's ear: the one connection that holds its name and hears NOTIFY. It can be lost, and is then had again.

Nothing would ever be heard on a connection that has gone silent without closing, so it is asked now and then.
"""

import logging

from common.database import DATABASE_AWAY
from pools.models import Pod
from pools.notifications import CHORES, ORDERS, Listener
from pools.supervisor.pod_identity import hold_name
from pools.supervisor.watching import Watching
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)


class Ear:
    """`heard` becomes true when there is something to look at, `ordered` when operators have ordered something,
    `chores` when the fleet's may be ours now; whoever has looked sets it back."""

    def __init__(self, config: SupervisorConfig, watching: Watching) -> None:
        self._config = config
        self._watching = watching
        self._listener: Listener | None = None
        self._descriptor = -1  # which a connection that is lost no longer says
        self.heard = self.ordered = True
        self.chores = False

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def open(self, own: Pod | None = None) -> None:
        """Take the name and listen. `own`: our row, when we come back. Raises PodNameTaken and database errors."""
        self.close()
        self._listener = hold_name(self._config, own)
        self._descriptor = self._listener.fileno()
        self._watching.add(self._descriptor, self._hear)

    def check(self) -> None:
        """Is the other end there?"""
        try:
            if self._listener:
                self._listener.check()
                self._take(self._listener)  # what has arrived meanwhile
        except DATABASE_AWAY as error:
            self._lost(error)

    def close(self) -> None:
        if self._listener:
            self._watching.forget(self._descriptor)
            self._listener.close()
            self._listener = None

    def _hear(self, now: float) -> None:
        self.heard = True
        try:
            if self._listener:
                self._take(self._listener)
        except DATABASE_AWAY as error:
            self._lost(error)

    def _take(self, listener: Listener) -> None:
        heard = listener.drain()
        self.heard |= bool(heard)
        self.ordered |= ORDERS in heard
        self.chores |= CHORES in heard

    def _lost(self, error: Exception) -> None:
        logger.warning("event=listener_lost pod=%s problem=%s", self._config.pod_name, type(error).__name__)
        self.close()

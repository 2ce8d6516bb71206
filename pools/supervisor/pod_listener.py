"""The connection on which a pod holds its name and receives NOTIFY; opened again after it has been lost.

Nothing would ever arrive on a connection that has gone silent without closing, so it is checked now and then.
"""

import logging

from common.database import DATABASE_AWAY
from pools.models import Pod
from pools.notifications import CHORES, ORDERS, Listener
from pools.supervisor.pod_identity import hold_name
from pools.supervisor.watching import Watching
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)


class PodListener:
    """`notified`: something has changed; `operators_acted`: operators have ordered something; `chores_handed_over`: the
    fleet's may be ours now. The loop sets them back once it has polled."""

    def __init__(self, config: SupervisorConfig, watching: Watching) -> None:
        self._config = config
        self._watching = watching
        self._listener: Listener | None = None
        self._descriptor = -1  # which a connection that is lost no longer says
        self.notified = self.operators_acted = True
        self.chores_handed_over = False

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def open(self, own: Pod | None = None) -> None:
        """Take the name and listen. `own`: our row, when we come back. Raises PodNameTaken and database errors."""
        self.close()
        self._listener = hold_name(self._config, own)
        self._descriptor = self._listener.fileno()
        self._watching.add(self._descriptor, self._read)

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

    def _read(self, now: float) -> None:
        self.notified = True
        try:
            if self._listener:
                self._take(self._listener)
        except DATABASE_AWAY as error:
            self._lost(error)

    def _take(self, listener: Listener) -> None:
        channels = listener.drain()
        self.notified |= bool(channels)
        self.operators_acted |= ORDERS in channels
        self.chores_handed_over |= CHORES in channels

    def _lost(self, error: Exception) -> None:
        logger.warning("event=listener_lost pod=%s problem=%s", self._config.pod_name, type(error).__name__)
        self.close()

"""The connection on which a pod holds its name and receives NOTIFY; opened again after it has been lost.

Nothing would ever arrive on a connection that has gone silent without closing, so it is checked now and then.
"""

import logging
from collections.abc import Callable

from common.database import DATABASE_AWAY
from pools.models import Pod
from pools.notifications import Listener
from pools.supervisor.pod_identity import hold_name
from pools.supervisor.watching import Watching
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)


class PodListener:
    def __init__(self, config: SupervisorConfig, watching: Watching, notified: Callable[[set[str]], None]) -> None:
        """`notified` is called with what notifications are about, and with an empty set if the connection is lost."""
        self._notified = notified
        self._config = config
        self._watching = watching
        self._listener: Listener | None = None
        self._descriptor = -1  # which a connection that is lost no longer says

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
                if about := self._listener.drain():  # what has arrived meanwhile
                    self._notified(about)
        except DATABASE_AWAY as error:
            self._lost(error)

    def close(self) -> None:
        if self._listener:
            self._watching.forget(self._descriptor)
            self._listener.close()
            self._listener = None

    def _read(self, now: float) -> None:
        try:
            if self._listener:
                self._notified(self._listener.drain())
        except DATABASE_AWAY as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        logger.warning("event=listener_lost pod=%s problem=%s", self._config.pod_name, type(error).__name__)
        self.close()
        self._notified(set())

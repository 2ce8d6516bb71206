"""Who is this pod: its name is held by an advisory lock, its incarnation is a row.

The connection that holds the name also hears NOTIFY, and does nothing else: whoever has lost it has lost both.
A name that is free is taken at once. One that is held by another incarnation with a fresh heartbeat is refused; one
held by our own former connection, or by a pod that has been silent for longer than the lease for reaping (its
connection may hang without closing), is taken away from its holder.
"""

import logging
import time

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from common.postgresql.advisory_locks import POD_NAME_KEY
from pools.chores import reaper
from pools.models import REAP_LEASE, Pod
from pools.notifications import Listener
from pools.operators import rollout
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

TAKE_OVER_S = 5.0
LOCK = f"SELECT pg_try_advisory_lock({POD_NAME_KEY})"
HELD = f"""
SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database()
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = {POD_NAME_KEY}"""  # noqa: S608


class PodNameTaken(Exception):
    """Another live `runpools` has this name."""


def hold_name(config: SupervisorConfig, own: Pod | None = None) -> Listener:
    """Take the pod's name, on a connection that then listens. `own`: our row, when we come back after losing it.

    Raises PodNameTaken and psycopg.OperationalError.
    """
    listener = Listener(config.database)
    try:
        deadline = time.monotonic() + TAKE_OVER_S
        while not _try_lock(listener, config.pod_name):
            if time.monotonic() > deadline:
                raise PodNameTaken(f"the name {config.pod_name} cannot be taken from its former holder")
            _take_away(listener, config.pod_name, own)
    except BaseException:
        listener.close()
        raise
    listener.listen(config.pod_name)
    return listener


def _try_lock(listener: Listener, name: str) -> bool:
    row = listener.ask(LOCK, [name])
    return bool(row and row[0])


def _take_away(listener: Listener, name: str, own: Pod | None) -> None:
    holder = (
        Pod.objects.current()
        .filter(name=name)
        .annotate(
            silent=ExpressionWrapper(Q(heartbeat_at__lte=Now() - REAP_LEASE), output_field=BooleanField()),
        )
        .first()
    )
    if holder and not holder.silent and (own is None or holder.pk != own.pk):
        raise PodNameTaken(
            f"a runpools named {name} is running on {holder.host} (pid {holder.os_pid}); "
            "stop it, or give this one another --pod-name"
        )
    row = listener.ask(HELD, [name])
    if row:
        logger.warning("event=pod_name_taken_over pod=%s backend=%s", name, row[0])
        listener.ask("SELECT pg_terminate_backend(%s, 1000)", [row[0]])


def register(config: SupervisorConfig, os_pid: int) -> Pod:
    """A new incarnation; a former one under this name is reaped first (we hold the name, so it is dead)."""
    for former in Pod.objects.current().filter(name=config.pod_name):
        logger.warning("event=pod_taken_over pod=%s former_pid=%d", former.name, former.os_pid)
        reaper.reap_pod(former, "taken over by a new incarnation")
    with transaction.atomic():
        rollout.take_turn()
        return Pod.objects.create(
            **rollout.draws_of(config.agent.version),
            name=config.pod_name,
            host=config.host,
            os_pid=os_pid,
            version=config.agent.version,
            agent_size=config.agent_target,
            agent_target=config.agent_target,
            agent_cap=config.agent_cap,
            room_size=config.room_target,
            room_target=config.room_target,
            room_cap=config.room_cap,
            max_processes=config.max_processes,
            free_slots=config.max_processes,
            start_method=config.start_method,
        )

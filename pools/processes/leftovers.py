"""What ended pods have left running on this host, and nobody will end: we do.

An agent and a zygote see the end of their supervisor and go by themselves; one that is frozen (SIGSTOP, a debugger)
sees nothing. Found by what the kernel says about every process, not by pids in rows: a pid may be a stranger's by now.
Calls that go on without their pod are let alone, and so is what belongs to a pod that we do not know (another
database's).
"""

import logging
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from pools.kernel.process_table import pods_processes
from pools.models import AgentProcess, Pod, SessionStatus

logger = logging.getLogger(__name__)

GRACE = timedelta(seconds=10)  # whoever goes by himself, last words included, has gone by then


def end_leftovers(own: Pod) -> int:
    """Kill them; how many there were."""
    found = [process for process in pods_processes() if process.pod != str(own.uuid)]
    if not found:
        return 0
    pods = Pod.objects.filter(uuid__in={process.pod for process in found}, ended_at__lt=Now() - GRACE)
    over = {str(uuid) for uuid in pods.values_list("uuid", flat=True)}
    lately = Q(voice_session__status=SessionStatus.ACTIVE) | Q(ended_at__gt=Now() - GRACE)
    spared = {
        (str(pod), pid)
        for pod, pid in AgentProcess.objects.filter(lately, pod__uuid__in=over).values_list("pod__uuid", "os_pid")
    }
    killed = 0
    for process in found:
        if process.pod in over and (process.pod, process.session) not in spared and process.kill():
            logger.warning("event=left_over_killed pid=%d its_pod=%s", process.pid, process.pod)
            killed += 1
    return killed

"""gunicorn with our worker, short deadlines and an application that echoes.

gunicorn --worker-class tests.support.impatient_gunicorn.ImpatientWorker tests.support.impatient_gunicorn:application
"""

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import Any

from breezebuddy import patient_connection, patient_worker
from breezebuddy.patient_worker import PatientWorker as ImpatientWorker

__all__ = ["ImpatientWorker", "application"]

LARGE = 4 * 1024 * 1024
patient_connection.HEAD_S = patient_connection.BODY_S = patient_connection.ANSWER_S = 2.0
patient_worker.TELL_EVERY_S = 0
patient_worker.MOST_HELD = 16 * 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The number of threads and the hash of the body; for /large a large answer; for /unread the body is left alone."""
    path = environ["PATH_INFO"]
    body = b"" if path == "/unread" else environ["wsgi.input"].read()
    answer = f"{threading.active_count()} {hashlib.sha256(body).hexdigest()}".encode()
    if path == "/large":
        answer = b"x" * LARGE
    start_response("200 OK", [("Content-Length", str(len(answer))), ("Content-Type", "text/plain")])
    return [answer]

"""The WSGI application, for gunicorn (see gunicorn.conf.py)."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

# With this exit status of a worker, gunicorn ends too, instead of starting one worker after the other.
BOOT_ERROR = 3

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "breezebuddy.settings")
try:
    application = get_wsgi_application()
except ImproperlyConfigured as exc:
    print(f"configuration error: {exc}", file=sys.stderr)  # noqa: T201 - logging is not configured yet
    raise SystemExit(BOOT_ERROR) from None

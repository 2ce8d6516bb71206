"""Keeps the SECRET_KEY of a development service in DATA_DIR, readable by its owner only, if none is set.

`make run` writes it once, every `manage.py` of the same DATA_DIR reads it: log-ins and the secrets of webhooks outlive
a restart.
"""

import os
import secrets
from pathlib import Path

NAME = "secret_key"
SHORTEST = 50


def read(data_dir: Path) -> str:
    """Return the stored key, or an empty string if there is none that is long enough."""
    try:
        key = (data_dir / NAME).read_text().strip()
    except (OSError, ValueError):
        return ""
    return key if len(key) >= SHORTEST else ""


def made() -> str:
    return secrets.token_urlsafe(48)


def keep(data_dir: Path, key: str) -> None:
    """Store the key by replacing the whole file, as for dev.json."""
    if read(data_dir) == key:
        return
    fresh = data_dir / f"{NAME}.new"
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{key}\n")
    fresh.replace(data_dir / NAME)

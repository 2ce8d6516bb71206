"""The SECRET_KEY of a development service, where the environment has none: kept in DATA_DIR, for its owner only.

`make run` writes it once, every `manage.py` of the same DATA_DIR reads it: log-ins and the secrets of webhooks outlive
a restart.
"""

import os
import secrets
from pathlib import Path

NAME = "secret_key"
SHORTEST = 50


def read(data_dir: Path) -> str:
    """Empty: there is none, or none that is worth the name."""
    try:
        key = (data_dir / NAME).read_text().strip()
    except (OSError, ValueError):
        return ""
    return key if len(key) >= SHORTEST else ""


def made() -> str:
    return secrets.token_urlsafe(48)


def keep(data_dir: Path, key: str) -> None:
    """Replaced as a whole, as dev.json is."""
    if read(data_dir) == key:
        return
    fresh = data_dir / f"{NAME}.new"
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{key}\n")
    fresh.replace(data_dir / NAME)

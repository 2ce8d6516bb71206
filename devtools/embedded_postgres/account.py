"""The account under which the server runs: our own, or an unprivileged one if we are root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools.embedded_postgres.errors import EmbeddedPostgresError

# PostgreSQL refuses to run as root. Both exist wherever we could be root; the first only beside a system PostgreSQL.
ACCOUNTS_FOR_ROOT = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    name: str

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()

    def popen_options(self) -> dict[str, Any]:
        """Return the options with which subprocess runs a child under this account."""
        return {} if self.is_me else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give `path`, which must be ours, to the account."""
        if not self.is_me:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, directory: Path) -> bool:
        """Tell whether the account may use `directory`. Asks the kernel, which knows ACLs and mounts."""
        if self.is_me:
            return os.access(directory, os.X_OK)
        command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)]
        try:
            result = subprocess.run(command, cwd="/", capture_output=True, **self.popen_options())
        except PermissionError as exc:  # root without CAP_SETUID
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and root may not run it as {self.name} here ({exc.strerror}): "
                "start as an ordinary user, or set DATABASE_URL"
            ) from exc
        return result.returncode == 0


def server_account(cluster: Path) -> Account:
    """Return the owner of an existing cluster; else our own account, or an unprivileged one if we are root."""
    uid = os.geteuid()
    owner = _owner(cluster)
    if uid != 0:
        if owner not in (None, uid):
            raise EmbeddedPostgresError(
                f"{cluster} belongs to uid {owner}, we are uid {uid}: run as that user, remove it, or set DATABASE_URL"
            )
        return by_uid(uid)
    if owner:
        return by_uid(owner)
    for name in ACCOUNTS_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is none of the accounts {', '.join(ACCOUNTS_FOR_ROOT)}: "
        "start as an ordinary user, or set DATABASE_URL"
    )


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def by_uid(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedPostgresError(
            f"uid {uid} has no entry in /etc/passwd, which PostgreSQL needs: "
            "run under a user that has one, or set DATABASE_URL"
        ) from None
    return Account(uid, entry.pw_gid, entry.pw_name)

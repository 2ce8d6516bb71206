"""Rooms for a run of claims, written into the stock: Daily's limits would let five hundred through in half a minute.

They belong to no pod, so that none makes fewer for them; nobody is to delete them at Daily when they are over, for it
has never had them.
"""

from trials.rows import Rows

WRITE = """
INSERT INTO pools_room (uuid, name, url, status, reserved, expires_at, available_at, end_reason,
    owner_token, guest_token)
SELECT gen_random_uuid(), 'scale-' || %(run)s || '-' || n, 'https://test.daily.co/' || n, 'available', false,
    now() + interval '2 hours', now(), '', '', '' FROM generate_series(1, %(number)s) AS n"""
LEFT = """
UPDATE pools_room SET status = 'ended', ended_at = now(), end_reason = 'benchmark'
WHERE status = 'available' AND name LIKE 'scale-%%'"""
OVER = "UPDATE pools_room SET deleted_at = now() WHERE status = 'ended' AND deleted_at IS NULL AND name LIKE 'scale-%%'"


def write_rooms(rows: Rows, number: int, run: str) -> None:
    rows.execute(LEFT, {})  # of the run before
    rows.execute(WRITE, {"number": number, "run": run})


def forget_rooms(rows: Rows) -> None:
    """Forget ended rooms."""
    rows.execute(OVER, {})

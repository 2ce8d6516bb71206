"""How property tests run here: the same examples every time, nothing remembered on disk, no deadline for an example
(the machine may be busy); each test sets how many examples it tries."""

from hypothesis import HealthCheck, settings

REPEATABLE = settings(
    derandomize=True, database=None, deadline=None, print_blob=False, suppress_health_check=[HealthCheck.too_slow]
)

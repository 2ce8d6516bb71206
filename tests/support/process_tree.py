"""Processes as the kernel shows them, for tests that must see that none is left."""

import psutil


def descendants(pid: int) -> set[psutil.Process]:
    """Children, their children, and so on."""
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def is_alive(process: psutil.Process) -> bool:
    """It is there (not another one with its pid), and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

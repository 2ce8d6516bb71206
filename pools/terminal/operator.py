"""Who gives an order from a terminal; the admin knows its users."""

import getpass
import os
import socket


def operator() -> str:
    """The person behind sudo, if there is one, and the machine."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # in a container the user often has no name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"

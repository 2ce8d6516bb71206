"""Our processes share a user with the bots: what these can read of them."""

import os
import subprocess
import sys

import pytest

from tests.support.programs import PROJECT

SOURCE = (PROJECT / "common" / "secrecy.py").read_text()
# A process with a secret, of an ordinary user (root may read everything), and what a sibling can open of it.
SCENE = """
import os, sys
exec(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
    _LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as after an exec
exec(sys.argv[2])
if os.fork():
    os.wait()
    os._exit(0)
for name in ("environ", "mem", "maps", "cmdline"):
    try:
        with open(f"/proc/{os.getppid()}/{name}", "rb") as file:
            print(name, "shown", b"hunter2" in file.read() if name == "environ" else "", flush=True)
    except OSError:
        print(name, "refused", flush=True)
"""


def seen_by_a_sibling(act: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCENE, SOURCE, act],
        env={"SECRET_KEY": "hunter2", "OTHER": "x"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_a_sibling_reads_neither_environment_nor_memory():
    open_to_all = seen_by_a_sibling("pass")
    assert open_to_all["environ"] == "shown True", "what is refused below is refused by us"
    assert open_to_all["maps"].startswith("shown")
    closed = seen_by_a_sibling("keep_memory_private()")
    assert (closed["environ"], closed["mem"], closed["maps"]) == ("refused", "refused", "refused")
    assert closed["cmdline"].startswith("shown"), "supervisors know their processes by it"


def test_a_secret_that_has_been_read_is_gone_from_the_environment():
    assert seen_by_a_sibling("forget_secrets(['SECRET_KEY'])")["environ"] == "shown False"


def test_forgetting_keeps_what_is_no_secret():
    shows = "import subprocess; print(open('/proc/self/environ').read()); subprocess.run('env')"
    program = f"{SOURCE}\nforget_secrets()\n{shows}"
    environment = {"DATABASE_URL": "hunter2", "PATH": os.environ["PATH"], "PGPASSWORD": "kept", "LAST": "one"}
    said = subprocess.check_output([sys.executable, "-I", "-u", "-c", program], env=environment, text=True)
    assert "hunter2" not in said
    assert said.count("PGPASSWORD=kept") == said.count("LAST=one") == 2


@pytest.mark.parametrize("started", [["manage.py", "shell", "--no-imports", "-c"], ["-c"]])
def test_our_commands_keep_their_memory_private(started):
    asks = "import ctypes; print('dumpable', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    if started == ["-c"]:
        asks = f"import runpy; runpy.run_path('gunicorn.conf.py'); {asks}"
    said = subprocess.run([sys.executable, *started, asks], cwd=PROJECT, capture_output=True, text=True).stdout
    assert "dumpable 0" in said

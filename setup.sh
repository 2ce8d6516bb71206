#!/bin/sh
# Installs requirements.lock into the virtualenv $VENV; does nothing if that was done already. `make` calls it.
set -eu

VENV=${VENV:-.venv}
UV=uv==0.13.9
STAMP=$VENV/requirements.lock.installed

say() { echo "set-up: $*" >&2; }
fail() { say "$*"; exit 2; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        elif [ "$candidate" = "${PYTHON:-}" ]; then
            fail "PYTHON=$PYTHON is not Python 3.11 or newer: it says '$("$PYTHON" --version 2>&1 | head -n 1)'"
        fi
    done
    fail "Python 3.11 or newer is needed; python3 says '$(python3 --version 2>&1 | head -n 1)'." \
        "Install one, or name it: make run PYTHON=/path/to/python3.12"
}

is_done() { cmp -s requirements.lock "$STAMP" && "$VENV/bin/python" -c '' 2>/dev/null; }

make_venv() {
    if "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && is_new_enough "$VENV/bin/python"; then
        return
    fi
    python=$(find_python)
    say "making $VENV with $("$python" --version)"
    if ! output=$("$python" -m venv --clear "$VENV" 2>&1); then
        echo "$output" >&2
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$python lacks the modules venv or ensurepip. On Debian and Ubuntu: apt install python3-venv"
        fail "$python could not make a virtualenv in $VENV (see above)"
    fi
}

is_done && exit
# Two at once would write into one virtualenv.
if command -v flock >/dev/null; then
    exec 9<requirements.lock
    flock -n 9 || { say "waiting for another make to finish its set-up"; flock 9; }
    is_done && exit
fi
make_venv
install() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$UV" &&
        UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never "$VENV/bin/uv" pip install --quiet \
            --python "$VENV/bin/python" --require-hashes -r requirements.lock
}

say "installing requirements.lock (about a minute)"
if ! output=$(install 2>&1); then
    # pip knows mirrors and certificates from its own configuration, which uv does not read.
    say "uv could not install it ($(echo "$output" | grep -i error | head -n 1)); trying pip, which takes longer"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock ||
        fail "the packages could not be installed (see above)"
fi
cp requirements.lock "$STAMP"

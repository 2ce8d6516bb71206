#!/bin/sh
# Installs requirements.lock into the virtualenv $VENV, then what is wanted besides: requirements-providers.lock (with
# PROVIDERS=1, once and for all) and the requirements.txt beside the bot. Does nothing if that was done already. `make`
# calls it.
set -eu

VENV=${VENV:-.venv}
UV=uv==0.13.9
# Each is a copy of what was installed last.
STAMP=$VENV/requirements.lock.installed
PROVIDERS_STAMP=$VENV/requirements-providers.lock.installed
BOT_STAMP=$VENV/bot-requirements.installed

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

# Of the environment, or else of .env.
setting() {
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^ *\(export \)\{0,1\}$1=//p" .env | tail -n 1 | tr -d "\"'")
    fi
    echo "$value"
}

# The file beside the bot; empty: there is none, or it is ours.
find_bot_requirements() {
    folder=$(setting VOICE_AGENT_BOT_DIR)
    bot=$(setting VOICE_AGENT_BOT)
    case $bot in *.py) folder=${folder:-$(dirname "$bot")} ;; esac
    if [ -n "$folder" ] && [ -f "$folder/requirements.txt" ] && ! [ "$folder/requirements.txt" -ef requirements.txt ]; then
        echo "$folder/requirements.txt"
    fi
}

lock_is_done() { cmp -s requirements.lock "$STAMP" && "$VENV/bin/python" -c '' 2>/dev/null; }
providers_are_done() {
    [ -z "${PROVIDERS:-}" ] && [ ! -e "$PROVIDERS_STAMP" ] || cmp -s requirements-providers.lock "$PROVIDERS_STAMP"
}
bot_is_done() { [ -z "$bot_requirements" ] || cmp -s "$bot_requirements" "$BOT_STAMP"; }
is_done() { lock_is_done && providers_are_done && bot_is_done; }

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

bot_requirements=$(find_bot_requirements)
is_done && exit
# Two at once would write into one virtualenv.
if command -v flock >/dev/null; then
    exec 9<requirements.lock
    flock -n 9 || { say "waiting for another make to finish its set-up"; flock 9; }
    is_done && exit
fi

uv_install() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$UV" &&
        UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" "$@"
}

# install WHAT OPTIONS...
install() {
    what=$1
    shift
    say "installing $what (about a minute)"
    if ! output=$(uv_install "$@" 2>&1); then
        # pip knows mirrors and certificates from its own configuration, which uv does not read.
        say "uv could not install it ($(echo "$output" | grep -i -m 1 -e error -e 'no solution')); trying pip, which takes longer"
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
            fail "the packages of $what could not be installed (see above)"
    fi
}

if ! lock_is_done; then
    make_venv
    install requirements.lock --require-hashes -r requirements.lock
    cp requirements.lock "$STAMP"
    rm -f "$BOT_STAMP" # what the bot has brought may not fit to what is new
fi
if ! providers_are_done; then
    install requirements-providers.lock --require-hashes -r requirements-providers.lock
    cp requirements-providers.lock "$PROVIDERS_STAMP"
fi
if ! bot_is_done; then
    # In our versions, where a package is one of ours; without their hashes, or pip would demand some for all.
    sed -e '/^ /d' -e '/^#/d' -e 's/ *\\$//' requirements.lock >"$VENV/constraints.txt"
    install "$bot_requirements" --constraint "$VENV/constraints.txt" -r "$bot_requirements"
    cp "$bot_requirements" "$BOT_STAMP"
fi

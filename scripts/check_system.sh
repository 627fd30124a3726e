#!/bin/sh
# Says in one line which system package is missing, before anything else is tried.
# usage: check_system.sh PYTHON
python=${1:-python3}

fail() {
    echo "error: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "$python is missing; install it with: sudo apt install python3 python3-venv"

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "$python does not run; install it anew with: sudo apt install --reinstall python3 python3-venv"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed and $python is $version; run: sudo apt install python3.11 python3.11-venv && make PYTHON=python3.11"

# Debian leaves ensurepip (and on small images distutils or venv) to python3-venv.
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python cannot make virtual environments; install what is missing with: sudo apt install python$version-venv"

#!/bin/sh
# Installs braid and the named extras into a virtual environment, at the versions of constraints.txt:
#
#   infra/install-python.sh VENV [EXTRA,EXTRA...]
#
# PYTHON (python3) makes the environment where it does not exist yet. uv installs where it is on the path, else pip.
# Neither compiles what it installs, since a run imports a small part of it: that is half of pip's time.
set -eu
venv=$1
package=".${2:+[$2]}"
python=${PYTHON:-python3}
constraints=${CONSTRAINTS:-constraints.txt}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "braid needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
if command -v uv >/dev/null; then
    [ -x "$venv/bin/python" ] || "$python" -m venv --without-pip "$venv"
    # uv reads no setting of pip. Folders of wheels are handed over, since one may hold torch's CPU build.
    links=$({ "$python" -m pip config list 2>/dev/null || true; } | sed -n "s/^[^=]*find-links='\(.*\)'$/\1/p" | sed 's/\\n/ /g')
    set --
    for link in ${PIP_FIND_LINKS:-} $links; do
        set -- "$@" --find-links "$link"
    done
    uv pip install --quiet --python "$venv/bin/python" "$@" --constraint "$constraints" --editable "$package"
else
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --upgrade "pip>=25"
    "$venv/bin/python" -m pip install --quiet --no-compile --constraint "$constraints" --editable "$package"
fi

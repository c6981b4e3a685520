#!/bin/sh
# What the tests use beside Python's packages, from Debian: PostgreSQL's programs, a compose that reads files
# without an engine, Chromium, and ffmpeg. Does nothing where they are.
set -eu
missing=""
if ! { command -v pg_dump && { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }; } >/dev/null 2>&1; then
    missing="postgresql postgresql-client"
    # no cluster of its own: the tests start theirs
    settings=/etc/postgresql-common/createcluster.conf
    [ "$(id -u)" != 0 ] || [ -e "$settings" ] || {
        mkdir -p "$(dirname "$settings")"
        echo "create_main_cluster = false" >"$settings"
    }
fi
if ! { command -v docker-compose || docker compose version; } >/dev/null 2>&1; then
    missing="$missing docker-compose"
fi
if ! { command -v chromium || command -v google-chrome; } >/dev/null 2>&1; then
    missing="$missing chromium"
fi
command -v ffmpeg >/dev/null 2>&1 || missing="$missing ffmpeg"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "install-test-packages: root has to install: $missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
# shellcheck disable=SC2086
apt-get install --quiet --yes --no-install-recommends -o Dpkg::Options::=--force-confold $missing

#!/bin/sh
# backup.sh databases FOLDER    both databases, each one consistent, while the servers run
# backup.sh artifacts FOLDER    a copy of the bucket; again: only what is new
#
# The server is found by libpq's variables (PGHOST, PGUSER, PGPASSWORD, ...), the bucket as in object-store/bucket.py.
# Take the databases first: an artifact that no run names does no harm, a run without its artifacts does.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,3s/^# //p' "$0" >&2 && exit 2; }
[ $# -eq 2 ] || usage

case "$1" in
databases)
    into=$2/$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -p "$into.partial"
    for database in prefect mlflow; do
        pg_dump --format=custom --no-password --dbname="$database" --file="$into.partial/$database.dump"
    done
    mv "$into.partial" "$into" # complete, or absent
    echo "$into"
    # deletes the oldest beyond BACKUPS_KEPT
    find "$2" -mindepth 1 -maxdepth 1 -type d -name '????????T??????Z' | sort -r |
        tail -n "+$((${BACKUPS_KEPT:-14} + 1))" | while read -r old; do rm -r "$old"; done
    ;;
artifacts)
    exec python "$here/object-store/bucket.py" save "$2"
    ;;
*) usage ;;
esac

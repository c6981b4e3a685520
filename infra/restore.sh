#!/bin/sh
# restore.sh databases FOLDER/20261125T101500Z    replaces both databases by a backup
# restore.sh artifacts FOLDER                     makes the bucket equal to the copy
#
# Stop the servers and workers before, start them after. Roles are made by postgres/create-databases.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,3s/^# //p' "$0" >&2 && exit 2; }
[ $# -eq 2 ] || usage

case "$1" in
databases)
    for database in prefect mlflow; do # checks all before it replaces any
        pg_restore --list "$2/$database.dump" >/dev/null
    done
    for database in prefect mlflow; do
        # --force ends open connections
        dropdb --no-password --if-exists --force --maintenance-db=postgres "$database"
        createdb --no-password --maintenance-db=postgres --owner="$database" "$database"
        psql --no-password --no-psqlrc --quiet --dbname=postgres --command="revoke all on database $database from public"
        pg_restore --no-password --exit-on-error --single-transaction --dbname="$database" "$2/$database.dump"
        echo "$database restored from $2"
    done
    ;;
artifacts)
    exec python "$here/object-store/bucket.py" restore "$2"
    ;;
*) usage ;;
esac

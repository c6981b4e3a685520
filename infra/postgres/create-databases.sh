#!/bin/sh
# Roles and databases of both servers, each its owner's alone. Safe to repeat: a password is set anew.
# psql finds the server by libpq's variables (PGHOST, ...; in postgres' own image, by its socket).
set -eu

for name in prefect mlflow; do
    variable=$(printf '%s_DATABASE_PASSWORD' "$name" | tr '[:lower:]' '[:upper:]')
    password=$(printenv "$variable") || {
        echo "create-databases: the environment variable $variable is not set" >&2
        exit 2
    }
    # psql quotes :'...' itself, and reads variables from its input alone, not from -c
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "${PGUSER:-${POSTGRES_USER:-postgres}}" \
        --dbname postgres --set=name="$name" --set=password="$password" <<'SQL'
select format('create role %I login', :'name') where not exists (select from pg_roles where rolname = :'name')
\gexec
alter role :"name" password :'password';
select format('create database %I owner %I', :'name', :'name')
where not exists (select from pg_database where datname = :'name')
\gexec
revoke all on database :"name" from public;
SQL
done

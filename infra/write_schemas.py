"""Tables of new databases, as the installed Prefect and MLflow make them on SQLite by their migrations.

``make schemas`` writes them beside the code that uses them, after either library has changed its version.
``python -m infra.write_schemas FOLDER`` writes them there.
"""

import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from flows.prefect_internals import server
from flows.process_settings import configure_process
from tasks.tracking import mlflow_internals

_OWN = 'INSERT INTO "experiments"'  # MLflow adds this row where it is missing; it names the working folder


def prefect_statements(folder: Path) -> str:
    """Return the SQL of a new database of Prefect's server, which is made in a folder."""
    file = folder / "prefect.db"
    os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{file}"
    server.create_database()
    return _statements(file)


def mlflow_statements(folder: Path) -> str:
    """Return the SQL of a new database of MLflow, which is made in a folder."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    MlflowClient(uri, uri)
    return _statements(folder / "mlflow.db")


def _statements(file: Path) -> str:
    """Dump a database, one statement per line."""
    with closing(sqlite3.connect(file)) as database:
        lines = [" ".join(statement.split()) for statement in database.iterdump()]
    return "".join(f"{line}\n" for line in lines if not line.startswith(_OWN))


def main(folder: Path | None) -> None:
    """Write both files to a folder, or to where they are used, in place of those of other versions."""
    configure_process()
    with tempfile.TemporaryDirectory() as made:
        prefect, mlflow = prefect_statements(Path(made)), mlflow_statements(Path(made))
    for file, statements in ((server.tables(), prefect), (mlflow_internals.tables(), mlflow)):
        if folder is None:
            for older in file.parent.glob("tables-*.sql"):
                older.unlink()
        ((folder or file.parent) / file.name).write_text(statements, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)

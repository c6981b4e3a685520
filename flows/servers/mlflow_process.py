"""MLflow's server as one process: ``python -m flows.servers.mlflow_process OPTION ...``."""

import sys

from flows.process_settings import configure_process


def main() -> None:
    """Become MLflow's server, with the options of ``mlflow server``."""
    configure_process()
    from tasks.tracking.mlflow_internals import become_server

    become_server(sys.argv[1:])


if __name__ == "__main__":
    main()

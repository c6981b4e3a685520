"""Runs of commands that were killed: ended in Prefect and in MLflow.

``python -m flows.run.end_lost WORKSPACE TRACKING_FILE`` ends them in a process of its own.
"""

import sys
from functools import partial
from pathlib import Path

from components.config import TrackingConfig, load_tracking
from flows.process_settings import configure_process
from flows.run.folder import may_be_at_work
from flows.run.lost import end_lost_flow_runs
from tasks.tracking import runs


def end_lost_runs(workspace: Path, tracking: TrackingConfig, folders: Path | None = None) -> None:
    """End the runs of commands that were killed, in Prefect and in MLflow.

    Args:
        workspace: Workspace of the commands.
        tracking: Address of MLflow.
        folders: Workspace with the folders of its runs, where that is another one.
    """
    end_lost_flow_runs(workspace)
    runs.end_lost(tracking, partial(may_be_at_work, folders or workspace))


def main() -> None:
    """End them with the addresses that the environment names."""
    configure_process()
    workspace, tracking_file = map(Path, sys.argv[1:3])
    end_lost_runs(workspace, load_tracking(tracking_file, workspace))


if __name__ == "__main__":
    main()

"""Run of one of Prefect's modules that loads braid's flows and no others.

``python -m flows.workers.guarded MODULE ...``: MODULE is ``prefect.engine`` for one flow run, or ``prefect``
for its command line.
"""

import runpy
import sys

from flows.process_settings import configure_process

ENTRYPOINTS = [f"flows.{name}.{name}" for name in ("retrain", "sweep", "distill", "score", "monitor")]
"""Flows that are deployed."""


def main() -> None:
    """Guard this process, then become the module."""
    configure_process()
    from flows.prefect_internals.runs import load_only

    load_only(ENTRYPOINTS)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

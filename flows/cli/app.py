"""Command line ``braid``: all commands, and ``main``.

Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or configuration; 3 the data cannot be
used; 4 a model, training, service or disk cannot be used; 5 the rule of promotion forbids it; 6 drift, where
``--fail-on-drift`` asks for it; 7 a repeated run differs; 130 interrupted.
"""

from importlib.metadata import version
from typing import Annotated

import typer

# A command imports its libraries when it runs: this takes seconds, in which Prefect's server can start.
from flows.cli import listings, models, pipelines, servers
from flows.cli.terminal import say
from flows.process_settings import configure_process

app = typer.Typer(
    help="Retrain multimodal models and prove whether the new one deserves to replace the old one.",
    epilog="Exit codes: 0 done, 1 unexpected failure, 2 wrong usage or configuration, 3 the data cannot be "
    "used, 4 a model, training, service or disk cannot be used, 5 the rule of promotion forbids it, "
    "6 drift (--fail-on-drift), 7 a repeated run differs, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"braid {version('braid')}")
        raise typer.Exit


@app.callback()
def common(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options that come before a command."""


for command in (
    pipelines.init,
    pipelines.run,
    pipelines.sweep,
    pipelines.distill,
    models.score,
    models.monitor,
    pipelines.check,
    pipelines.report,
    pipelines.reproduce,
    listings.runs,
    listings.models,
    models.search,
    models.promote,
    models.rollback,
    servers.up,
    servers.deploy,
    servers.ui,
):
    app.command()(command)


def main() -> None:
    """Run the command line ``braid``."""
    configure_process()  # before a command imports what reads it
    app()


if __name__ == "__main__":
    main()

"""Schedules of deployments."""

from pathlib import Path

from prefect.schedules import Cron, Schedule

from components.config.operations import DeploymentConfig, Operations
from components.errors import ConfigError


def schedules_of(flow: str, settings: DeploymentConfig, where: Path) -> list[Schedule]:
    """Make the schedules of a flow.

    Args:
        flow: Name of the flow.
        settings: Its part of the operations file.
        where: That file, for messages.

    Raises:
        ConfigError: If the times of one are not valid.
    """
    made = []
    for schedule in settings.schedules:
        try:
            made.append(
                Cron(
                    schedule.cron,
                    timezone=schedule.timezone,
                    active=schedule.active,
                    parameters=schedule.parameters,
                    slug=schedule.name,
                )
            )
        except ValueError as error:
            raise ConfigError(f"{where}: {flow}.schedules: {schedule.name}.cron: {error}") from error
    return made


def check_schedules(operations: Operations, where: Path) -> None:
    """Make every schedule of an operations file, for the error.

    Args:
        operations: Contents of the file.
        where: That file, for messages.

    Raises:
        ConfigError: If the times of one are not valid.
    """
    for flow in Operations.model_fields:
        settings = getattr(operations, flow)
        if isinstance(settings, DeploymentConfig):
            schedules_of(flow, settings, where)

"""Automations of Prefect: mark runs whose process is gone, notify people, retrain on drift."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.blocks.notifications import (
    CustomWebhookNotificationBlock,
    MicrosoftTeamsWebhook,
    NotificationBlock,
    SlackWebhook,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture, ResourceSpecification

from components.config.monitor import DRIFT_EVENT
from components.config.operations import NotificationConfig, Operations
from components.errors import ConfigError
from components.runtime.environ import filled

TAG = "braid"
"""Tag of every deployment and so of its runs: the automations see only runs that have it."""
CRASHED, RETRAIN, FAILURE, DRIFT = (
    "braid: no sign of life",
    "braid: retrain on drift",
    "braid: tell of failures",
    "braid: tell of drift",
)
_BLOCK = "braid-notification"
_ENDED = ("Completed", "Failed", "TimedOut", "Cancelled", "Crashed")
_WAITING = ("Paused", "Suspended", "Cancelling", "Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot")
"""States in which no process has to be alive: waiting is no sign of death."""


async def ensure_automations(operations: Operations, deployments: Mapping[str, UUID]) -> None:
    """Make the automations what the operations file asks for, and delete others of an earlier file.

    Args:
        operations: Contents of the file.
        deployments: Ids by name.
    """
    wanted = [_crashed(operations.silence)]
    if operations.retrain_on_drift and "retrain" in deployments:
        wanted.append(_retrain(deployments["retrain"]))
    if operations.notification is not None:
        block = await _block(operations.notification)
        wanted += [_notify_of_failures(block), _notify_of_drift(block)]
    async with get_client() as client:
        for name in (CRASHED, RETRAIN, FAILURE, DRIFT):
            known = await client.read_automations_by_name(name)
            mine = next((automation for automation in wanted if automation.name == name), None)
            if mine is not None and known:
                await client.update_automation(known[0].id, mine)
            elif mine is not None:
                await client.create_automation(mine)
            for extra in known[1:] if mine is not None else known:
                await client.delete_automation(extra.id)


def _crashed(silence: int) -> AutomationCore:
    """Mark a run without further signs of life as Crashed, so that it can be retried."""
    return AutomationCore(
        name=CRASHED,
        description=f"Marks a run as Crashed {silence} s after its last sign of life; it can be retried.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=_of_braid(),
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                *(f"prefect.flow-run.{state}" for state in (*_ENDED, *_WAITING)),
            },
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=silence),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"no sign of life for {silence} s: its process or its machine is gone. A retry "
                "resumes it from the cache.",
            )
        ],
    )


def _retrain(deployment: UUID) -> AutomationCore:
    config = {"__prefect_kind": "jinja", "template": "{{ event.payload['config_file'] }}"}
    return AutomationCore(
        name=RETRAIN,
        description="Retrains a model by its pipeline file when monitor finds drift.",
        trigger=_drift(),
        actions=[RunDeployment(deployment_id=deployment, parameters={"config": config})],
    )


def _notify_of_failures(block: UUID) -> AutomationCore:
    return AutomationCore(
        name=FAILURE,
        description="Reports runs that failed or crashed.",
        trigger=_each(
            "prefect.flow-run.*",
            {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match_related=_of_braid(),
        ),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="braid: {{ flow.name }} {{ flow_run.state.name }}",
                body="{{ flow.name }}, run {{ flow_run.name }}: {{ flow_run.state.name }}. "
                "{{ flow_run.state.message }} {{ flow_run|ui_url }}",
            )
        ],
    )


def _notify_of_drift(block: UUID) -> AutomationCore:
    return AutomationCore(
        name=DRIFT,
        description="Reports drift that monitor found.",
        trigger=_drift(),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="braid: drift",
                body="{{ event.resource['prefect.resource.name'] }}: {{ event.payload['headline'] }}",
            )
        ],
    )


def _drift() -> EventTrigger:
    return _each("braid.model.*", {DRIFT_EVENT})


def _each(resource: str, events: set[str], **more: Any) -> EventTrigger:
    """Fire at each of the events, per resource."""
    return EventTrigger(
        posture=Posture.Reactive,
        match=ResourceSpecification({"prefect.resource.id": resource}),
        expect=events,
        for_each={"prefect.resource.id"},
        threshold=1,
        **more,
    )


def _of_braid() -> ResourceSpecification:
    return ResourceSpecification({"prefect.resource.id": f"prefect.tag.{TAG}"})


async def _block(settings: NotificationConfig) -> UUID:
    """Save the block that sends; Prefect stores the address as a secret.

    Raises:
        ConfigError: If the address is none of the kind; the message does not show it.
    """
    address = filled(settings.url, "notification.url")
    block: NotificationBlock
    try:
        if not address.startswith(("https://", "http://")):
            raise ValueError("no address")
        match settings.kind:
            case "slack":
                block = SlackWebhook(url=address)
            case "teams":
                block = MicrosoftTeamsWebhook(url=address)
            case "webhook":
                block = CustomWebhookNotificationBlock(
                    name=_BLOCK,
                    url="{{address}}",
                    json_data={"subject": "{{subject}}", "body": "{{body}}"},
                    secrets={"address": address},
                )
    except Exception:  # of any kind, and its text may show a part of the address
        raise ConfigError(
            f"notification.url: not an address that {settings.kind} gives, such as https://…; it is a "
            "secret, so it is not shown"
        ) from None
    await type(block).register_type_and_schema()
    return await block.save(_BLOCK, overwrite=True)

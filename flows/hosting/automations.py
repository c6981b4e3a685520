"""Automations of Prefect: mark runs whose process is gone, notify people, retrain on drift."""

from __future__ import annotations

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

from components.config.operations import NotificationConfig, Operations
from components.runtime.environ import filled
from tasks.monitor import EVENT

TAG = "braid"
"""Of every deployment, and so of its runs: the automations look at nobody else's."""
CRASHED, RETRAIN, FAILURE_TOLD, DRIFT_TOLD = (
    "braid: no sign of life",
    "braid: retrain on drift",
    "braid: tell of failures",
    "braid: tell of drift",
)
_BLOCK = "braid-notification"


async def ensure_automations(operations: Operations, deployments: Mapping[str, UUID]) -> None:
    """Make the automations what the operations file says; those of an earlier file that it lacks go.

    Args:
        operations: What the file says.
        deployments: Ids by name.
    """
    wanted = [_crashed(operations.silence)]
    if operations.retrain_on_drift and "retrain" in deployments:
        wanted.append(_retrain(deployments["retrain"]))
    if operations.notification is not None:
        block = await _block(operations.notification)
        wanted += [_tell_of_failures(block), _tell_of_drift(block)]
    async with get_client() as client:
        for name in (CRASHED, RETRAIN, FAILURE_TOLD, DRIFT_TOLD):
            known = await client.read_automations_by_name(name)
            mine = next((automation for automation in wanted if automation.name == name), None)
            if mine is not None and known:
                await client.update_automation(known[0].id, mine)
            elif mine is not None:
                await client.create_automation(mine)
            for extra in known[1:] if mine is not None else known:
                await client.delete_automation(extra.id)


def _crashed(silence: int) -> AutomationCore:
    """A run that gave signs of life and gives none any more, nor an end, is Crashed: it can be retried."""
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
                *(f"prefect.flow-run.{end}" for end in ("Completed", "Failed", "Cancelled", "Crashed")),
            },
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=silence),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"no sign of life for {silence} s: its process or its machine is gone. Retry goes on "
                "from the cache.",
            )
        ],
    )


def _retrain(deployment: UUID) -> AutomationCore:
    config = {"__prefect_kind": "jinja", "template": "{{ event.payload['config_file'] }}"}
    return AutomationCore(
        name=RETRAIN,
        description="Retrains a model on its pipeline file where monitor found drift.",
        trigger=_drift(),
        actions=[RunDeployment(deployment_id=deployment, parameters={"config": config})],
    )


def _tell_of_failures(block: UUID) -> AutomationCore:
    return AutomationCore(
        name=FAILURE_TOLD,
        description="Tells of runs that failed or crashed.",
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


def _tell_of_drift(block: UUID) -> AutomationCore:
    return AutomationCore(
        name=DRIFT_TOLD,
        description="Tells of drift that monitor found.",
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
    return _each("braid.model.*", {EVENT})


def _each(resource: str, events: set[str], **more: Any) -> EventTrigger:
    """Fires at each of some events, of each resource by itself."""
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
    """The block that sends; the address is kept as a secret of Prefect's."""
    address = filled(settings.url, "notification.url")
    block: NotificationBlock
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
    await type(block).register_type_and_schema()
    return await block.save(_BLOCK, overwrite=True)

"""The routing table that follows from an endpoint's record and the workers that answer."""

from __future__ import annotations

from mlparity.serving.endpoints.endpoints import EndpointPhase
from mlparity.serving.endpoints.lifecycle import is_ready
from mlparity.serving.endpoints.record import SERVING, EndpointRecord, Side
from mlparity.serving.endpoints.view import View
from mlparity.serving.fleet.deployment import DeploymentPhase
from mlparity.serving.routing.table import EndpointTable, RoutedDeployment


def table_of(record: EndpointRecord, view: View, *, held: bool = False) -> EndpointTable:
    """The table: the weights of all that may answer are 1 together, shadows apart.

    ``held``: after a restart, nothing is answered before the workers of every side are back. A new endpoint's table is
    in service as soon as all its workers answer: whoever reads that it is IN_SERVICE can call it.
    """
    in_service = record.phase in SERVING and not held
    if record.phase is EndpointPhase.CREATING:
        in_service = is_ready(record, view)
    routed = [one for side, share in record.traffic() for one in _routed(side, share, view)] if in_service else []
    return EndpointTable(record.key, tuple(routed), record.blue.revision.capture, in_service)


def is_coming_back(record: EndpointRecord, view: View) -> bool:
    """Whether a deployment that is to take traffic has no worker yet, and may still get one."""
    for side, _ in record.traffic():
        for member in side.members:
            seen = view.deployments.get(member.deployment)
            starting = seen is None or seen.phase is DeploymentPhase.STARTING
            if starting and member.weight > 0 and not member.plan.shadow and not view.sockets(member.deployment):
                return True
    return False


def _routed(side: Side, share: float, view: View) -> list[RoutedDeployment]:
    total = sum(member.weight for member in side.members if not member.plan.shadow) or 1.0
    return [
        RoutedDeployment(
            deployment=member.deployment,
            variant=member.plan.name,
            weight=member.weight * share / (1.0 if member.plan.shadow else total),
            sockets=tuple(view.sockets(member.deployment)),
            shadow=member.plan.shadow,
            timeout_seconds=member.plan.invocation_seconds,
        )
        for member in side.members
    ]

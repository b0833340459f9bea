"""The routing table that follows from an endpoint's record and the workers that answer."""

from __future__ import annotations

from mlparity.serving.endpoints.endpoints import EndpointPhase
from mlparity.serving.endpoints.lifecycle import is_ready
from mlparity.serving.endpoints.record import SERVING, EndpointRecord, Side
from mlparity.serving.endpoints.view import View
from mlparity.serving.routing.table import EndpointTable, RoutedDeployment


def table_of(record: EndpointRecord, view: View) -> EndpointTable:
    """The table: the weights of all that may answer are 1 together, shadows apart.

    A deployment without workers (they died; the stack was started again) stays in it with its weight, so that the split
    stays what it is: the router has requests wait for its workers. A new endpoint's table is in service as soon as all
    its workers answer: whoever reads that it is IN_SERVICE can call it.
    """
    in_service = record.phase in SERVING
    if record.phase is EndpointPhase.CREATING:
        in_service = is_ready(record, view)
    routed = [one for side, share in record.traffic() for one in _routed(side, share, view)] if in_service else []
    return EndpointTable(record.key, tuple(routed), record.blue.revision.capture, in_service)


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
            labels=member.plan.labels,
        )
        for member in side.members
    ]

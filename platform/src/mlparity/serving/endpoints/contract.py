"""The seam between the vendors' endpoint APIs and the state machine behind them (``service.EndpointService``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mlparity.serving.endpoints.endpoints import Endpoint, EndpointFilter, Rollout
from mlparity.serving.endpoints.plans import Revision, RolloutPolicy
from mlparity.state.paging import Page, PageRequest

# Called with the endpoint as it is and as it was before (None: it was just created).
Listener = Callable[[Endpoint, Endpoint | None], None]


class Endpoints(Protocol):
    """The endpoints of every vendor. Any thread; every call only notes the wish, durably, and returns.

    A call inside ``Database.write`` joins that transaction, so that a vendor's own rows are committed with it.
    All calls that name an endpoint raise ``NotFoundError`` where there is none.
    """

    def create(
        self, api: str, name: str, revision: Revision, request: Mapping[str, Any], *, log_group: str = ""
    ) -> Endpoint:
        """Start an endpoint; it is CREATING, then IN_SERVICE when every variant answers, or FAILED with the reason.

        One without variants is IN_SERVICE at once.
        ``log_group`` is where its workers' logs go. Raises ``EndpointExistsError``.
        """
        ...

    def update(
        self, api: str, name: str, revision: Revision, policy: RolloutPolicy, request: Mapping[str, Any]
    ) -> Endpoint:
        """Start a rollout to ``revision`` (it may equal the one that serves); the endpoint is UPDATING.

        It ends IN_SERVICE: on the new revision, or on the old one with ``failure_reason`` (an alarm of the policy was
        in ALARM at the start, while the new fleet started or in a bake; the new fleet did not get ready; the timeout
        passed). Or ROLLBACK_FAILED. Raises ``EndpointBusyError``; ``EndpointFailedError`` where it was never created.
        """
        ...

    def reshape(self, api: str, name: str, revision: Revision, request: Mapping[str, Any]) -> Endpoint:
        """Go to ``revision`` without new workers for the variants that are there already (by their names).

        Those stay what they are, with their workers and counts, and get the revision's weights. The endpoint is
        UPDATING until all workers of the variants that come answer; then all weights change at once, what goes
        finishes its requests and ends, and the endpoint is IN_SERVICE. Where one that comes does not get ready
        everything stays as it was: IN_SERVICE with ``failure_reason``. A revision may have no variant.
        Raises as ``update``.
        """
        ...

    def set_weights_and_capacities(
        self, api: str, name: str, changes: Mapping[str, tuple[float | None, int | None]]
    ) -> Endpoint:
        """Change weights (at once) and worker counts of variants: name -> (weight or None, instances or None).

        The endpoint is UPDATING until as many workers answer, then IN_SERVICE; where that fails, ROLLING_BACK to the
        weights and counts before and IN_SERVICE with ``failure_reason``. Raises ``UnknownVariantError``,
        ``InvalidRequestError`` (a negative weight, less than one instance), ``EndpointBusyError``,
        ``EndpointFailedError``.
        """
        ...

    def delete(self, api: str, name: str) -> Endpoint:
        """Refuse requests from now on, let the present ones end, stop the workers, forget everything.

        The endpoint is DELETING until then. Raises ``EndpointBusyError``.
        """
        ...

    def get(self, api: str, name: str) -> Endpoint:
        """The endpoint as it is now, with the workers that answer now."""
        ...

    def list(self, wanted: EndpointFilter, page: PageRequest) -> Page[Endpoint]:
        """One page. ``page.sort_by`` is "name", "created_at", "modified_at" or "phase"."""
        ...

    def rollouts(self, api: str, name: str) -> Sequence[Rollout]:
        """Every rollout of the endpoint, newest first, with its steps and their reasons."""
        ...

    def listen(self, listener: Listener, *, within: bool = False) -> None:
        """Call ``listener`` after every change of phase, weights, or step of a rollout.

        ``within``: before the change is committed, so that what the listener writes is committed with it, or neither
        is. Listeners must not block: what they call runs in a worker thread of the service or in the caller's.
        """
        ...

    def recover(self) -> None:
        """After a restart: start everything again that ran, and go on with what was under way, bakes included."""
        ...

    def close(self) -> None:
        """Stop working, before the fleet closes. The database keeps the truth for ``recover``."""
        ...

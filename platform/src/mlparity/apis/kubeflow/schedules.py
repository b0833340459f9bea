"""Starts the runs of recurring runs when they are due."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from mlparity.apis.kubeflow import bodies, recurring_runs, run_states, specs
from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.apis.kubeflow.errors import KubeflowError
from mlparity.apis.kubeflow.listing import member, stored_time
from mlparity.apis.kubeflow.placeholders import Occurrence
from mlparity.apis.kubeflow.run_creation import Source, Start, begin
from mlparity.apis.kubeflow.triggers import Trigger
from mlparity.errors import ConflictError, MlparityError, NotFoundError
from mlparity.state.document_search import Condition
from mlparity.state.documents import Document

_LOG = logging.getLogger(__name__)
_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619


class RecurringRunTimer:
    """Timed work (``engine.scheduling``) over what is stored: nothing is kept in memory, nothing is lost with it."""

    def __init__(self, api: Kubeflow) -> None:
        self._api = api

    def next_due(self) -> datetime | None:
        """See ``TimedWork``. A recurring run that has as many runs as it may is not due until one of them ends."""
        dues = (self._due(item) for item in self._enabled() if self._may_begin(item))
        return min((due for due in dues if due is not None), default=None)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        for recurring in self._enabled():
            try:
                self._catch_up(recurring)
            except (KubeflowError, MlparityError) as error:
                _LOG.warning("recurring run %s: %s", recurring.name, error)

    def _enabled(self) -> list[Document]:
        api = self._api
        return [*api.search.all_of(recurring_runs.KIND, member("status", recurring_runs.ENABLED))]

    def _due(self, recurring: Document) -> datetime | None:
        body = recurring.body
        return Trigger.from_json(body["trigger"]).due_after(
            bodies.read_time(body["last_at"]),
            recurring.created_at,
            self._api.clock.now(),
            catch_up=not body["no_catchup"],
        )

    def _may_begin(self, recurring: Document) -> bool:
        active = self._api.search.count(
            run_states.KIND,
            member("recurring_run_id", recurring.name),
            *(Condition(("state",), "ne", state) for state in run_states.ENDED),
        )
        return active < int(recurring.body["max_concurrency"])

    def _catch_up(self, recurring: Document) -> None:
        """Begin every run that is due, as far as the concurrency allows."""
        while (due := self._due(recurring)) is not None and due <= self._api.clock.now():
            if not self._may_begin(recurring):
                return
            recurring = self._begin(recurring, due)

    def _begin(self, recurring: Document, due: datetime) -> Document:
        """One run. What was due is recorded with it, so it is begun once; one that cannot begin is passed over."""
        api, body = self._api, recurring.body
        index = int(body["index"]) + 1
        # As KFP's newer controllers: the same occurrence is the same run, whoever begins it.
        name = _run_name(str(body["workflow"]), index)
        run_id = str(uuid5(NAMESPACE_URL, f"{recurring.name}/{name}"))
        occurrence = Occurrence(run_id, index, due, api.clock.now())
        changes = {"last_at": stored_time(due), "index": index, "error": ""}
        try:
            with api.transaction():
                self._submit(recurring, occurrence, name)
                return api.documents.merge(recurring_runs.KIND, recurring.name, changes)
        except ConflictError:
            _LOG.info("recurring run %s: run %s is there already", recurring.name, run_id)
        except KubeflowError as error:
            changes["error"] = f"run {index} could not begin: {error.message}"
        except (MlparityError, NotFoundError) as error:
            changes["error"] = f"run {index} could not begin: {'. '.join(error.lines())}"
        if changes["error"]:
            _LOG.warning("recurring run %s: %s", recurring.name, changes["error"])
        return api.documents.merge(recurring_runs.KIND, recurring.name, changes)

    def _submit(self, recurring: Document, occurrence: Occurrence, name: str) -> None:
        api, body = self._api, recurring.body
        own = specs.kept(api, recurring.name) if body["own_spec"] else None
        runtime = body["runtime_config"]
        begin(
            api,
            Start(
                display_name=name,
                source=Source(str(body["pipeline_id"]), str(body["pipeline_version_id"]), own),
                experiment_id=str(body["experiment_id"]),
                parameters=occurrence.filled(runtime["parameters"]),
                pipeline_root=str(runtime["pipeline_root"]),
                service_account=str(body["service_account"]),
                run_id=occurrence.run_id,
                recurring_run_id=recurring.name,
                scheduled_at=occurrence.scheduled_at,
            ),
        )


def _run_name(workflow: str, index: int) -> str:
    """As KFP names them: the name, the number and the FNV-1a hash of both."""
    stem = f"{workflow}-{index}"
    value = _FNV_OFFSET
    for byte in stem.encode():
        value = ((value ^ byte) * _FNV_PRIME) % (1 << 32)
    return f"{stem}-{value}"

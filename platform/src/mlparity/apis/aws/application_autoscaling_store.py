"""Scalable targets, their policies and what was done by them, in the state database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlparity.clock import Clock
from mlparity.errors import ConflictError
from mlparity.state import Database
from mlparity.state.documents import Document, DocumentFilter, DocumentRepository, TagRepository
from mlparity.state.paging import Page, PageRequest

_TARGET, _POLICY, _ACTIVITY = "ScalableTarget", "ScalingPolicy", "ScalingActivity"
_BATCH = 100
HISTORY = timedelta(weeks=6)  # as the vendor keeps activities
NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"


@dataclass(frozen=True)
class ScalableTarget:
    """The instance count of one endpoint variant. ``body`` has the members of RegisterScalableTarget and an ``Id``."""

    region: str
    resource: str  # endpoint/NAME/variant/NAME
    body: Mapping[str, Any]
    created_at: datetime

    @property
    def limits(self) -> tuple[int, int]:
        """(minimum, maximum) capacity."""
        return self.body["MinCapacity"], self.body["MaxCapacity"]

    def arn(self, account_id: str) -> str:
        """The target's ARN."""
        return f"arn:aws:application-autoscaling:{self.region}:{account_id}:scalable-target/{self.body['Id']}"


@dataclass(frozen=True)
class ScalingPolicy:
    """A policy of a target. ``body`` has the members of PutScalingPolicy, an ``Id`` and ``State`` of its decisions."""

    region: str
    resource: str
    name: str
    body: Mapping[str, Any]
    created_at: datetime

    def arn(self, account_id: str) -> str:
        """The policy's ARN."""
        return (
            f"arn:aws:autoscaling:{self.region}:{account_id}:scalingPolicy:{self.body['Id']}"
            f":resource/{NAMESPACE}/{self.resource}:policyName/{self.name}"
        )


class AutoscalingStore:
    """One method a question."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._documents = DocumentRepository(database, clock, "aws")
        self.tags = TagRepository(database)

    def target(self, region: str, resource: str) -> ScalableTarget:
        """Raises ``NotFoundError``."""
        return _target(self._documents.get(_TARGET, f"{region}/{resource}"))

    def put_target(self, region: str, resource: str, body: Mapping[str, Any]) -> ScalableTarget:
        """Store a target, new or changed."""
        return _target(self._put(_TARGET, f"{region}/{resource}", body))

    def delete_target(self, target: ScalableTarget, account_id: str) -> None:
        """Forget a target with its policies and tags."""
        with self._documents.transaction():
            for policy in list(self.policies(target.region, target.resource)):
                self.delete_policy(policy)
            self._documents.delete(_TARGET, f"{target.region}/{target.resource}")
            self.tags.remove(target.arn(account_id))

    def targets(self, region: str = "") -> Iterator[ScalableTarget]:
        """Every target, in the order of resources."""
        prefix = f"{region}/" if region else None
        return (_target(item) for item in self._walk(_TARGET, prefix))

    def policy(self, region: str, resource: str, name: str) -> ScalingPolicy:
        """Raises ``NotFoundError``."""
        return _policy(self._documents.get(_POLICY, _policy_key(region, resource, name)))

    def put_policy(self, region: str, resource: str, name: str, body: Mapping[str, Any]) -> ScalingPolicy:
        """Store a policy, new or changed."""
        return _policy(self._put(_POLICY, _policy_key(region, resource, name), {**body, "PolicyName": name}))

    def delete_policy(self, policy: ScalingPolicy) -> None:
        """Forget it. Raises ``NotFoundError``."""
        self._documents.delete(_POLICY, _policy_key(policy.region, policy.resource, policy.name))

    def policies(self, region: str, resource: str = "") -> Iterator[ScalingPolicy]:
        """Every policy; of one target where one is given."""
        prefix = f"{region}/{resource}/" if resource else f"{region}/"
        return (_policy(item) for item in self._walk(_POLICY, prefix))

    def add_activity(self, target: ScalableTarget, activity_id: str, body: Mapping[str, Any]) -> None:
        """Remember what was done."""
        self._documents.create(_ACTIVITY, f"{target.region}/{target.resource}/{activity_id}", body)

    def activities(self, region: str, resource: str, limit: int, token: str | None) -> Page[Document]:
        """One page, newest first. Raises ``InvalidRequestError`` for a bad token."""
        prefix = f"{region}/{resource}/" if resource else f"{region}/"
        page = PageRequest("created_at", descending=True, limit=limit, token=token)
        return self._documents.list(_ACTIVITY, DocumentFilter(name_prefix=prefix), page)

    def forget_activities_before(self, moment: datetime) -> None:
        """Drop what is older."""
        wanted = DocumentFilter(created_before=moment)
        page = PageRequest("created_at", descending=False, limit=_BATCH)
        for old in self._documents.list(_ACTIVITY, wanted, page).items:
            self._documents.delete(_ACTIVITY, old.name)

    def _put(self, kind: str, key: str, body: Mapping[str, Any]) -> Document:
        with self._documents.transaction():
            try:
                return self._documents.create(kind, key, body)
            except ConflictError:
                dropped = dict.fromkeys(self._documents.get(kind, key).body)
                return self._documents.merge(kind, key, {**dropped, **body})

    def _walk(self, kind: str, prefix: str | None) -> Iterator[Document]:
        token: str | None = None
        while True:
            request = PageRequest("name", descending=False, limit=_BATCH, token=token)
            page = self._documents.list(kind, DocumentFilter(name_prefix=prefix), request)
            yield from page.items
            token = page.next_token
            if token is None:
                return

    def has_targets(self) -> bool:
        """Whether there is anything to scale."""
        return next(self.targets(), None) is not None


def _policy_key(region: str, resource: str, name: str) -> str:
    return f"{region}/{resource}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _present(document: Document) -> dict[str, Any]:
    return {member: value for member, value in document.body.items() if value is not None}


def _target(document: Document) -> ScalableTarget:
    region, _, resource = document.name.partition("/")
    return ScalableTarget(region, resource, _present(document), document.created_at)


def _policy(document: Document) -> ScalingPolicy:
    region, _, rest = document.name.partition("/")
    body = _present(document)
    return ScalingPolicy(region, rest.rpartition("/")[0], body["PolicyName"], body, document.created_at)

"""Lineage actions and contexts: what was done, and what groups other entities. They differ in their members only."""

from __future__ import annotations

from dataclasses import dataclass

from mlparity.apis.sagemaker import lineage_entities as entities
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.lineage_entities import ACTION, CONTEXT
from mlparity.apis.sagemaker.listing import with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Entity, NewEntity
from mlparity.wire.json_values import jsonable


@dataclass(frozen=True)
class Named:
    """The operations of one family. ``kept``: members of Create that Describe shows; ``changeable``: of Update."""

    family: str
    kept: tuple[str, ...]
    changeable: tuple[str, ...]
    summarised: tuple[str, ...]

    def create(self, api: SageMaker, request: Request, caller: Caller) -> Response:
        """CreateAction, CreateContext."""
        name = request[f"{self.family}Name"]
        body = {**{key: request[key] for key in self.kept if key in request}, **entities.owned(caller)}
        new = NewEntity(
            entities.arn_of(api, self.family, name),
            self.family,
            request[f"{self.family}Type"],
            name,
            request["Source"]["SourceUri"],
            jsonable(body),
        )
        return self._arn(entities.store(api, new, request))

    def describe(self, api: SageMaker, request: Request, _caller: Caller) -> Response:
        """DescribeAction, DescribeContext: by name or ARN."""
        return self.render(self._find(api, request))

    def render(self, entity: Entity) -> Response:
        """An entity as Describe shows it."""
        named = {f"{self.family}Name": entity.name, f"{self.family}Type": entity.kind}
        return {**entities.common(entity), **self._arn(entity), **named}

    def update(self, api: SageMaker, request: Request, caller: Caller) -> Response:
        """UpdateAction, UpdateContext."""
        entity = self._find(api, request)
        changes = {key: request[key] for key in self.changeable if key in request}
        body = {**entity.body, **changes, "Properties": entities.changed_properties(entity, request)}
        entities.change(api, entity, body, caller)
        return self._arn(entity)

    def delete(self, api: SageMaker, request: Request, _caller: Caller) -> Response:
        """DeleteAction, DeleteContext."""
        entity = self._find(api, request)
        entities.remove(api, entity)
        return self._arn(entity)

    def list(self, api: SageMaker, request: Request, _caller: Caller) -> Response:
        """ListActions, ListContexts."""
        page = entities.listed(api, self.family, request, request.get(f"{self.family}Type"))
        return with_token({f"{self.family}Summaries": [self._summary(item) for item in page.items]}, page)

    def operations(self) -> tuple[Operation, ...]:
        """This family's part of the operation table."""
        return (
            Operation(f"Create{self.family}", self.create),
            Operation(f"Describe{self.family}", self.describe),
            Operation(f"Update{self.family}", self.update),
            Operation(f"Delete{self.family}", self.delete),
            Operation(f"List{self.family}s", self.list),
        )

    def _find(self, api: SageMaker, request: Request) -> Entity:
        return entities.find(api, self.family, request[f"{self.family}Name"])

    def _arn(self, entity: Entity) -> Response:
        return {f"{self.family}Arn": entity.id}

    def _summary(self, entity: Entity) -> Response:
        described = self.render(entity)
        shown = (f"{self.family}Arn", f"{self.family}Name", f"{self.family}Type", *self.summarised)
        return {name: described[name] for name in shown if name in described}


_TIMES = ("Source", "CreationTime", "LastModifiedTime")
_ACTIONS = Named(
    ACTION,
    kept=("Source", "Description", "Status", "Properties", "MetadataProperties"),
    changeable=("Description", "Status"),
    summarised=(*_TIMES, "Status"),
)
_CONTEXTS = Named(CONTEXT, kept=("Source", "Description", "Properties"), changeable=("Description",), summarised=_TIMES)

OPERATIONS = (*_ACTIONS.operations(), *_CONTEXTS.operations())

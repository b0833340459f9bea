"""What every operation is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.hosting import Hosting
from mlparity.clock import Clock
from mlparity.engine.events import EventJournal
from mlparity.engine.functions import FunctionCode
from mlparity.engine.job_service import JobService
from mlparity.engine.lineage import LineageRepository
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.tuning.service import TuningService
from mlparity.ids import IdSource
from mlparity.registry import ModelRegistry
from mlparity.state.documents import DocumentRepository, TagRepository
from mlparity.storage.base import ObjectStore
from mlparity.wire.aws_model import AwsModel

API = "sagemaker"

Request = Mapping[str, Any]
Response = dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """Who signed the request, as STS would name him."""

    arn: str
    principal_id: str

    def user_context(self) -> Response:
        """As SageMaker writes ``CreatedBy`` and ``LastModifiedBy``."""
        return {"IamIdentity": {"Arn": self.arn, "PrincipalId": self.principal_id}}


@dataclass(frozen=True)
class SageMaker:
    """The substrate as SageMaker's operations see it."""

    arns: Arns
    model: AwsModel
    jobs: JobService
    runs: RunEngine
    tunings: TuningService
    registry: ModelRegistry
    lineage: LineageRepository
    documents: DocumentRepository
    tags: TagRepository
    store: ObjectStore
    mlflow_url: str  # of the tracking server; "" where the profile has none
    events: EventJournal
    clock: Clock
    ids: IdSource
    # The metric definitions (name -> regular expression) that a built-in algorithm's image brings.
    image_metrics: Callable[[str], Mapping[str, str]]
    # Sends a text to an SQS queue, by the queue's URL. Raises ``MlparityError`` where the queue does not take it.
    send_message: Callable[[str, str], None]
    # A Lambda function by its ARN. Raises ``NotFoundError``, which tells how to make it known here.
    function: Callable[[str], FunctionCode]
    hosting: Hosting
    # Whether the versions of a model group may only be approved by another role than the one that made them.
    needs_other_approver: Callable[[str], bool] = lambda _group: False
    # Whether SageMaker may act as a role (its ARN) for a resource (its ARN).
    may_assume: Callable[[str, str], bool] = lambda _role, _resource: True

    def transaction(self) -> AbstractContextManager[object]:
        """What an operation writes in the block (rows, tags, events) happens together or not at all.

        For what takes no time: nobody else can write meanwhile.
        """
        return self.documents.transaction()

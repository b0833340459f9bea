"""SageMaker's endpoint operations over the real state machine, a fleet without processes and a clock by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from mlparity.apis.sagemaker import endpoint_events, lineage_endpoints
from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.context import Caller, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.hosting import Hosting
from mlparity.apis.sagemaker.operations import BY_NAME
from mlparity.engine.events import Event, EventJournal
from mlparity.engine.lineage import LineageRepository
from mlparity.ids import SeededIds
from mlparity.registry import ModelRegistry
from mlparity.serving.endpoints.repository import EndpointRepository
from mlparity.serving.endpoints.service import EndpointService, Pace
from mlparity.state import Database
from mlparity.state.documents import DocumentRepository, TagRepository
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock
from mlparity.testing.serving import FakeFleet, FakeRouter
from mlparity.wire.aws_model import AwsModel

REGION, ACCOUNT = "us-east-1", "123456789012"
BUCKET = "models"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/model:1"
_NOBODY = Caller("arn:aws:iam::123456789012:user/nobody", "AIDA")


class Bench:
    """The API of one account. ``call`` validates as the wire does; ``alarms`` are those that exist."""

    def __init__(self, folder: Path) -> None:
        self.clock, ids = TestClock(), SeededIds(7)
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "blobs", self.clock, ids, REGION)
        self.store.ensure_bucket(BUCKET)
        self.fleet, self.router = FakeFleet(), FakeRouter()
        self.alarms: dict[str, str] = {}
        self.service = EndpointService(
            EndpointRepository(self.database, self.clock, ids),
            self.fleet,
            self.router,
            self.clock,
            lambda names: [name for name in names if self.alarms.get(name) == "ALARM"],
            pace=Pace(threads=0),
        )
        self.events: list[Event] = []
        journal = EventJournal(self.database, self.clock, ids)
        unused = cast("Any", None)
        self.api = SageMaker(
            arns=Arns(REGION, ACCOUNT),
            model=AwsModel.load("sagemaker"),
            jobs=unused,
            runs=unused,
            tunings=unused,
            registry=ModelRegistry(self.database, self.clock, "sagemaker"),
            lineage=LineageRepository(self.database, self.clock, "sagemaker"),
            documents=DocumentRepository(self.database, self.clock, "sagemaker"),
            tags=TagRepository(self.database),
            store=self.store,
            mlflow_url="",
            events=cast("EventJournal", _Recorded(journal, self.events)),
            clock=self.clock,
            ids=ids,
            image_metrics=lambda _image: {},
            send_message=lambda _queue, _text: None,
            function=unused,
            hosting=Hosting(
                self.service,
                lambda names: [name for name in names if name not in self.alarms],
                lambda _topic, _text: None,
            ),
        )
        self.service.listen(lambda now, was: endpoint_events.endpoint(self.api, now, was), within=True)
        self.service.listen(lambda now, was: lineage_endpoints.endpoint(self.api, now, was), within=True)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """One operation, checked by the vendor's model on both sides."""
        given, wrong = self.api.model.read_request(operation, request)
        assert not wrong, wrong
        answer = BY_NAME[operation].handler(self.api, given, _NOBODY)
        assert self.api.model.check_response(operation, answer) == []
        self.service.settle()
        return answer

    def refused(self, operation: str, **request: Any) -> str:
        """The message of the error that an operation answers with."""
        try:
            self.call(operation, **request)
        except SageMakerError as error:
            return f"{error.code}: {error.message}"
        raise AssertionError(f"{operation} was not refused: {request}")

    def later(self, seconds: float) -> None:
        """Move the clock and let the endpoints go on."""
        self.clock.advance(seconds)
        self.service.run_due()
        self.service.settle()

    def model(self, name: str) -> None:
        """A model whose archive is ``s3://models/NAME.tar.gz``."""
        self.store.put_bytes(BUCKET, f"{name}.tar.gz", b"archive")
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
        role = f"arn:aws:iam::{ACCOUNT}:role/r"
        self.call("CreateModel", ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)

    def config(self, name: str, *variants: dict[str, Any], **more: Any) -> None:
        """An endpoint configuration; without variants, one of the model of its own name."""
        given = variants or (variant("AllTraffic", name),)
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=list(given), **more)

    def endpoint(self, name: str, *, instances: int = 1) -> None:
        """An endpoint in service, of a configuration and a model of the same name."""
        self.model(name)
        self.config(name, variant("AllTraffic", name, InitialInstanceCount=instances))
        self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=name)

    def describe(self, name: str) -> dict[str, Any]:
        """DescribeEndpoint."""
        return self.call("DescribeEndpoint", EndpointName=name)

    def close(self) -> None:
        """End the threads."""
        self.service.close()
        self.database.close()


class _Recorded:
    """An ``EventJournal`` whose events the test sees."""

    def __init__(self, journal: EventJournal, seen: list[Event]) -> None:
        self._journal = journal
        self._seen = seen

    def publish(self, *args: Any) -> Event:
        event = self._journal.publish(*args)
        self._seen.append(event)
        return event


def variant(name: str, model: str, **more: Any) -> dict[str, Any]:
    """One entry of ProductionVariants."""
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1.0,
        **more,
    }


def canary(wait: int, *alarms: str, termination: int = 0) -> dict[str, Any]:
    """A DeploymentConfig: half of the traffic first."""
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": wait,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": termination,
        }
    }
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config

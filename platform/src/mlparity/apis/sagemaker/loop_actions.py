"""What the retraining loop does on SageMaker, in SageMaker's own operations and nothing else.

``call`` is one operation by name: here the operations of this process, elsewhere a boto3 client's. So a loop that
works here asks AWS for nothing that it has not asked here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mlparity.apis.sagemaker.arns import role_of
from mlparity.errors import InvalidRequestError, MlparityError
from mlparity.monitoring.loop.actions import (
    Champion,
    Decision,
    LoopActionError,
    Outcome,
    RolloutState,
    Training,
    Verdict,
)
from mlparity.monitoring.loop.definition import LoopDefinition

_EXECUTION = {"Succeeded": Outcome.SUCCEEDED, "Failed": Outcome.FAILED, "Stopped": Outcome.FAILED}
_VERDICT = {"Approved": Verdict.APPROVED, "Rejected": Verdict.REJECTED}
_STATUS = {verdict: status for status, verdict in _VERDICT.items()}
_ON_THE_WAY = {"Creating", "Updating", "RollingBack", "SystemUpdating"}
_COMMENT = 1024  # characters of an ApprovalDescription
# Of a described endpoint configuration: what is not part of a request to create one.
_NOT_REQUESTED = ("EndpointConfigArn", "CreationTime", "EndpointConfigName", "ResponseMetadata")


class Call(Protocol):
    """One SageMaker operation."""

    def __call__(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its response. Raises ``LoopActionError``."""
        ...


class SageMakerLoopActions:
    """``LoopActions``. ``read`` gives the bytes of an ``s3://`` object."""

    def __init__(self, call: Call, read: Callable[[str], bytes]) -> None:
        self._call = call
        self._read = read

    def check(self, definition: LoopDefinition) -> None:
        """The pipeline and the endpoint are there. Raises ``InvalidRequestError`` with what to do where one is not."""
        pipeline, endpoint = definition.retrain.pipeline, definition.endpoint
        for operation, request, what, hint in (
            (
                "DescribePipeline",
                {"PipelineName": pipeline},
                f"the pipeline {pipeline}, with which the loop {definition.name} is to retrain",
                "create the pipeline first, or name another one under `retrain: pipeline:`",
            ),
            (
                "DescribeEndpoint",
                {"EndpointName": endpoint},
                f"the endpoint {endpoint}, which the loop {definition.name} is to watch",
                "create the endpoint first, or name another one under `endpoint:`",
            ),
        ):
            try:
                self._call(operation, request)
            except LoopActionError as error:
                if error.transient:
                    raise
                raise InvalidRequestError(f"{what}, is not there", error.why, hint) from error

    def champion(self, endpoint: str) -> Champion:
        """The package of the first production variant's model."""
        container = self._container(self._model_name(endpoint))
        package = container.get("ModelPackageName", "")
        if not package:
            return Champion("", container.get("ModelDataUrl", ""))
        described = self._call("DescribeModelPackage", {"ModelPackageName": package})
        first = described["InferenceSpecification"]["Containers"][0]
        source = first.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri", "")
        return Champion(described["ModelPackageArn"], first.get("ModelDataUrl", source))

    def start_training(self, definition: LoopDefinition, token: str, parameters: Mapping[str, str]) -> str:
        """StartPipelineExecution, once a token."""
        given = [{"Name": name, "Value": value} for name, value in parameters.items()]
        request = {
            "PipelineName": definition.retrain.pipeline,
            "PipelineExecutionDisplayName": token,
            "PipelineExecutionDescription": f"retraining by the loop {definition.name}",
            "ClientRequestToken": hashlib.sha256(token.encode()).hexdigest(),
            **({"PipelineParameters": given} if given else {}),
        }
        return str(self._call("StartPipelineExecution", request)["PipelineExecutionArn"])

    def training(self, definition: LoopDefinition, execution: str) -> Training:
        """The execution, and what its RegisterModel step has made for the loop's group."""
        found = self._call("DescribePipelineExecution", {"PipelineExecutionArn": execution})
        outcome = _EXECUTION.get(found["PipelineExecutionStatus"], Outcome.RUNNING)
        if outcome is not Outcome.SUCCEEDED:
            return Training(outcome, reason=found.get("FailureReason", found["PipelineExecutionStatus"]))
        steps = self._call("ListPipelineExecutionSteps", {"PipelineExecutionArn": execution})["PipelineExecutionSteps"]
        made = [step["Metadata"]["RegisterModel"]["Arn"] for step in steps if "RegisterModel" in step["Metadata"]]
        ours = [arn for arn in made if f":model-package/{definition.model_group}/" in arn]
        return Training(outcome, ours[0] if ours else "")

    def report(self, package: str) -> Mapping[str, Any]:
        """ModelMetrics.ModelQuality.Statistics of the package."""
        described = self._call("DescribeModelPackage", {"ModelPackageName": package})
        uri = described.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri", "")
        if not uri:
            return {}
        try:
            report = json.loads(self._read(uri))
        except (MlparityError, ValueError) as error:
            raise LoopActionError(f"the report of {package} cannot be read", str(error)) from error
        return report if isinstance(report, dict) else {}

    def decision(self, package: str) -> Decision:
        """ModelApprovalStatus, and who set it last."""
        described = self._call("DescribeModelPackage", {"ModelPackageName": package})
        verdict = _VERDICT.get(described["ModelApprovalStatus"], Verdict.PENDING)
        maker = _identity(described.get("CreatedBy", {}))
        actor = _identity(described.get("LastModifiedBy", {})) or maker
        when = described.get("LastModifiedTime", described["CreationTime"])
        own = bool(maker) and role_of(actor) == role_of(maker)
        return Decision(verdict, actor, f"{when:%Y-%m-%d %H:%M:%S}", described.get("ApprovalDescription", ""), own)

    def decide(self, package: str, verdict: Verdict, comment: str) -> None:
        """UpdateModelPackage."""
        request = {
            "ModelPackageArn": package,
            "ModelApprovalStatus": _STATUS[verdict],
            "ApprovalDescription": comment[:_COMMENT],
        }
        self._call("UpdateModelPackage", request)

    def start_rollout(self, definition: LoopDefinition, token: str, package: str) -> str:
        """A model and a configuration of the cycle's own, and UpdateEndpoint; each unless it is there already."""
        endpoint = self._call("DescribeEndpoint", {"EndpointName": definition.endpoint})
        pending = endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
        if token in {endpoint["EndpointConfigName"], pending}:
            return token
        before = self._call("DescribeEndpointConfig", {"EndpointConfigName": endpoint["EndpointConfigName"]})
        replaced = before["ProductionVariants"][0]["ModelName"]
        if not self._exists("DescribeModel", {"ModelName": token}):
            role = self._call("DescribeModel", {"ModelName": replaced}).get("ExecutionRoleArn")
            request = {"ModelName": token, "PrimaryContainer": {"ModelPackageName": package}}
            self._call("CreateModel", {**request, **({"ExecutionRoleArn": role} if role else {})})
        if not self._exists("DescribeEndpointConfig", {"EndpointConfigName": token}):
            kept = {name: value for name, value in before.items() if name not in _NOT_REQUESTED}
            variants = [
                {**variant, "ModelName": token} if variant.get("ModelName") == replaced else variant
                for variant in before["ProductionVariants"]
            ]
            self._call("CreateEndpointConfig", {**kept, "EndpointConfigName": token, "ProductionVariants": variants})
        update: dict[str, Any] = {"EndpointName": definition.endpoint, "EndpointConfigName": token}
        if definition.rollout.deployment:
            update["DeploymentConfig"] = definition.rollout.deployment
        self._call("UpdateEndpoint", update)
        return token

    def rollout(self, definition: LoopDefinition, rollout: str) -> RolloutState:
        """Where the endpoint is: at the new configuration, back at the old one, or on its way."""
        endpoint = self._call("DescribeEndpoint", {"EndpointName": definition.endpoint})
        status, reason = endpoint["EndpointStatus"], endpoint.get("FailureReason", "")
        if status in _ON_THE_WAY:
            return RolloutState(Outcome.RUNNING)
        if status != "InService":
            return RolloutState(Outcome.FAILED, reason or status)
        if endpoint["EndpointConfigName"] == rollout:
            return RolloutState(Outcome.SUCCEEDED)
        return RolloutState(Outcome.UNDONE, reason or f"it serves {endpoint['EndpointConfigName']}")

    def _model_name(self, endpoint: str) -> str:
        name = self._call("DescribeEndpoint", {"EndpointName": endpoint})["EndpointConfigName"]
        config = self._call("DescribeEndpointConfig", {"EndpointConfigName": name})
        return str(config["ProductionVariants"][0]["ModelName"])

    def _container(self, model: str) -> Mapping[str, Any]:
        described = self._call("DescribeModel", {"ModelName": model})
        container: Mapping[str, Any] = described.get("PrimaryContainer") or described["Containers"][0]
        return container

    def _exists(self, operation: str, request: Mapping[str, Any]) -> bool:
        try:
            self._call(operation, request)
        except LoopActionError as error:
            if error.transient:
                raise
            return False
        return True


def _identity(context: Mapping[str, Any]) -> str:
    return str(context.get("IamIdentity", {}).get("Arn", ""))

"""What the retraining loop does on Vertex AI, in Vertex's own operations and nothing else.

``call`` is one operation by name, request and response in JSON: here the operations of this process. So a loop that
works here asks Google Cloud for nothing that it has not asked here.

A version's aliases ``approved`` and ``rejected`` are the decision about it; its label ``decided-by`` says whose.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.vertex.loop_report import report
from mlparity.apis.vertex.loop_rollout import Call, Ladder, Replacement, Rollouts, Seen
from mlparity.clock import Clock
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

DECIDED_BY = "decided-by"
_PIPELINE, _LOOP = "pipeline", "mlparity-loop"  # values of the label
_ALIASES = {Verdict.APPROVED: "approved", Verdict.REJECTED: "rejected"}
_ENDED = {
    "PIPELINE_STATE_SUCCEEDED": Outcome.SUCCEEDED,
    "PIPELINE_STATE_FAILED": Outcome.FAILED,
    "PIPELINE_STATE_CANCELLED": Outcome.FAILED,
}
_DESCRIPTION = 500  # characters of a version's description
_DIGITS = 10  # of a deployed model's id


class VertexLoopActions:
    """``LoopActions``. ``parent`` is projects/P/locations/L, ``root`` where pipelines keep their artifacts by default.

    ``read`` gives the bytes of a ``gs://`` object, ``seen`` what the router has measured of a deployed model.
    """

    def __init__(
        self, call: Call, read: Callable[[str], bytes], seen: Seen, clock: Clock, parent: str, root: str
    ) -> None:
        self._call = call
        self._read = read
        self._parent = parent
        self._root = root
        self._rollouts = Rollouts(call, seen, clock)

    def check(self, definition: LoopDefinition) -> None:
        """The endpoint and the template can be read, and the rollout is a ladder. Raises ``InvalidRequestError``."""
        Ladder.read(definition.rollout.deployment)
        self._parameters(definition, definition.retrain.parameters, typed=False)
        endpoint = self._name("endpoints", definition.endpoint)
        try:
            self._call("EndpointService.GetEndpoint", {"name": endpoint})
        except LoopActionError as error:
            if error.transient:
                raise
            raise InvalidRequestError(
                f"the endpoint {endpoint}, which the loop {definition.name} is to watch, is not there",
                error.why,
                "create the endpoint first, or name another one under `endpoint:`",
            ) from error

    def champion(self, endpoint: str) -> Champion:
        """The version of the deployed model with most of the traffic."""
        found = self._call("EndpointService.GetEndpoint", {"name": self._name("endpoints", endpoint)})
        split = found.get("trafficSplit", {})
        deployed = sorted(found.get("deployedModels", []), key=lambda one: -split.get(one["id"], 0))
        if not deployed or not split.get(deployed[0]["id"], 0):
            return Champion()
        package = f"{deployed[0]['model']}@{deployed[0]['modelVersionId']}"
        return Champion(package, self._model(package).get("artifactUri", ""))

    def start_training(self, definition: LoopDefinition, token: str, parameters: Mapping[str, str]) -> str:
        """CreatePipelineJob with an id of the token's."""
        spec = self._template(definition.retrain.pipeline)
        job_id = f"loop-{token.lower()}"
        root = definition.retrain.pipeline_root or spec.get("defaultPipelineRoot") or self._root
        job = {
            "displayName": token,
            "pipelineSpec": spec,
            "labels": {"mlparity-loop": definition.name.lower()},
            "runtimeConfig": {
                "gcsOutputDirectory": root,
                "parameterValues": self._parameters(definition, parameters, typed=True),
            },
        }
        name = f"{self._parent}/pipelineJobs/{job_id}"
        if not self._exists("PipelineService.GetPipelineJob", {"name": name}):
            asked = {"parent": self._parent, "pipelineJobId": job_id, "pipelineJob": job}
            self._call("PipelineService.CreatePipelineJob", asked)
        return name

    def training(self, definition: LoopDefinition, execution: str) -> Training:
        """The pipeline job, and the version of the loop's model that one of its tasks has told as an output."""
        job = self._call("PipelineService.GetPipelineJob", {"name": execution})
        outcome = _ENDED.get(job["state"], Outcome.RUNNING)
        if outcome is not Outcome.SUCCEEDED:
            return Training(outcome, reason=job.get("error", {}).get("message", job["state"]))
        ours = f"{self._name('models', definition.model_group)}@"
        made = [name for name in _resource_names(job) if name.startswith(ours)]
        if not made:
            return Training(outcome)
        self._note_own_decision(made[0])
        return Training(outcome, made[0])

    def report(self, package: str) -> Mapping[str, Any]:
        """Its evaluations in the registry, else the metrics of the run that made it."""
        return report(self._call, package, f"{self._parent}/metadataStores/default")

    def decision(self, package: str) -> Decision:
        """The version's aliases, and its label ``decided-by``."""
        model = self._model(package)
        aliases = model.get("versionAliases", [])
        verdict = next((one for one, alias in _ALIASES.items() if alias in aliases), Verdict.PENDING)
        by = model.get("labels", {}).get(DECIDED_BY, "")
        at = model["versionUpdateTime"][:19].replace("T", " ")
        return Decision(verdict, by or f"somebody (there is no label {DECIDED_BY})", at, "", by == _PIPELINE)

    def decide(self, package: str, verdict: Verdict, comment: str) -> None:
        """MergeVersionAliases and UpdateModel."""
        model = self._model(package)
        told = f"{model.get('versionDescription', '')} | {verdict.value}: {comment}".removeprefix(" | ")
        self._label(package, model, _LOOP, told[-_DESCRIPTION:])
        other = _ALIASES[Verdict.REJECTED if verdict is Verdict.APPROVED else Verdict.APPROVED]
        aliases = [_ALIASES[verdict], f"-{other}"]
        self._call("ModelService.MergeVersionAliases", {"name": package, "versionAliases": aliases})

    def start_rollout(self, definition: LoopDefinition, token: str, package: str) -> str:
        """DeployModel beside what serves, with an id of the token's."""
        number = int(hashlib.sha256(token.encode()).hexdigest(), 16)
        deployed_model = str(10 ** (_DIGITS - 1) + number % (9 * 10 ** (_DIGITS - 1)))
        endpoint = self._name("endpoints", definition.endpoint)
        return str(self._rollouts.start(endpoint, deployed_model, package, token))

    def rollout(self, definition: LoopDefinition, rollout: str) -> RolloutState:
        """Up the ladder, or back."""
        ladder = Ladder.read(definition.rollout.deployment)
        return self._rollouts.step(self._name("endpoints", definition.endpoint), Replacement.read(rollout), ladder)

    def _note_own_decision(self, package: str) -> None:
        """A version that is approved when its run ends was approved by the run: that is written down."""
        model = self._model(package)
        if set(_ALIASES.values()) & set(model.get("versionAliases", [])):
            self._label(package, model, _PIPELINE, model.get("versionDescription", ""))

    def _label(self, package: str, model: Mapping[str, Any], by: str, description: str) -> None:
        changed = {
            "name": package,
            "labels": {**model.get("labels", {}), DECIDED_BY: by},
            "versionDescription": description,
        }
        self._call("ModelService.UpdateModel", {"model": changed, "updateMask": "labels,versionDescription"})

    def _model(self, package: str) -> dict[str, Any]:
        return self._call("ModelService.GetModel", {"name": package})

    def _template(self, uri: str) -> dict[str, Any]:
        """The compiled pipeline. Raises ``InvalidRequestError``."""
        import yaml

        hint = "compile it with KFP, upload it, and give its gs:// URI under `retrain: pipeline:`"
        try:
            document = yaml.safe_load(self._read(uri))
        except (MlparityError, yaml.YAMLError, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())
            raise InvalidRequestError(f"the pipeline {uri} cannot be read", why, hint) from error
        if not isinstance(document, dict) or "pipelineInfo" not in document:
            raise InvalidRequestError(f"{uri} is no compiled pipeline", "it has no pipelineInfo", hint)
        return document

    def _parameters(self, definition: LoopDefinition, parameters: Mapping[str, str], *, typed: bool) -> dict[str, Any]:
        """The values in the template's types; not ``typed``: only whether it knows the names."""
        root = self._template(definition.retrain.pipeline).get("root", {})
        known = root.get("inputDefinitions", {}).get("parameters", {})
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            told = f"{definition.retrain.pipeline} has no parameter {unknown[0]}"
            raise InvalidRequestError(told, f"it has {', '.join(sorted(known))}", "mend `retrain: parameters:`")
        given = {name for name, one in known.items() if "defaultValue" in one or one.get("isOptional")} | set(
            parameters
        )
        missing = sorted(set(known) - given)
        if missing:
            told = f"{definition.retrain.pipeline} needs a value of {missing[0]}"
            raise InvalidRequestError(told, "the parameter has no default", "give it under `retrain: parameters:`")
        if not typed:
            return {}
        return {
            name: _value(name, text, known[name].get("parameterType", "STRING")) for name, text in parameters.items()
        }

    def _name(self, collection: str, name: str) -> str:
        return name if "/" in name else f"{self._parent}/{collection}/{name}"

    def _exists(self, operation: str, request: Mapping[str, Any]) -> bool:
        try:
            self._call(operation, request)
        except LoopActionError as error:
            if error.transient:
                raise
            return False
        return True


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise LoopActionError(f"the parameter {name} must be JSON of the type {kind}", f"it is {text!r}") from error


def _resource_names(job: Mapping[str, Any]) -> list[str]:
    """What the tasks' output artifacts say that they stand for: their ``resourceName``, without project numbers."""
    found = [
        artifact.get("metadata", {}).get("resourceName", "")
        for task in job.get("jobDetail", {}).get("taskDetails", [])
        for output in task.get("outputs", {}).values()
        for artifact in output.get("artifacts", [])
    ]
    return [name for name in found if isinstance(name, str) and re.fullmatch(r"projects/.+/models/[^/]+@\w+", name)]

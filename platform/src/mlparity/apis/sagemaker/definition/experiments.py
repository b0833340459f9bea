"""PipelineExperimentConfig: which experiment and trial an execution's jobs belong to.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-experiments.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.definition.references import Resolver

_USUAL = {"ExperimentName": {"Get": "Execution.PipelineName"}, "TrialName": {"Get": "Execution.PipelineExecutionId"}}


def experiment_of(
    document: Mapping[str, Any], parameters: Mapping[str, Any], execution: Mapping[str, Any]
) -> dict[str, str]:
    """ExperimentName and TrialName. Null in the definition means none; a definition without it, the usual ones.

    Raises ``InvalidRequestError`` where a reference in it has no value.
    """
    config = document.get("PipelineExperimentConfig", _USUAL)
    if not config:
        return {}
    resolver = Resolver(parameters, execution, lambda _step: {}, {}, lambda _uri: "")
    return {name: str(resolver.resolve(value)) for name, value in config.items() if value is not None}

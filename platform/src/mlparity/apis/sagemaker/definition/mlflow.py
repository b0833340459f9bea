"""A definition's MlflowConfig: where, and in which MLflow experiment, an execution's training jobs are tracked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.definition.references import Resolver


def mlflow_of(
    document: Mapping[str, Any], parameters: Mapping[str, Any], execution: Mapping[str, Any], experiment: str | None
) -> dict[str, str]:
    """MlflowResourceArn and MlflowExperimentName; empty where the definition has none.

    ``experiment``: the name that the execution asks for instead; without any, it is the pipeline's. Raises
    ``InvalidRequestError`` where a reference has no value.
    """
    config = document.get("MlflowConfig") or {}
    if not config.get("MlflowResourceArn"):
        return {}
    resolver = Resolver(parameters, execution, lambda _step: {}, {}, lambda _uri: "")
    given = config.get("MlflowExperimentName")
    named = experiment or (str(resolver.resolve(given)) if given else str(execution["PipelineName"]))
    return {"MlflowResourceArn": str(resolver.resolve(config["MlflowResourceArn"])), "MlflowExperimentName": named}

"""The operation table: what is served, by what. Router, coverage table and tests read it."""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.apis.sagemaker import (
    callback_steps,
    endpoint_configs,
    endpoint_updates,
    endpoints,
    execution_steps,
    executions,
    experiments,
    lineage_artifacts,
    lineage_associations,
    lineage_named,
    lineage_query,
    mlflow_apps,
    mlflow_servers,
    model_package_groups,
    model_package_policies,
    model_packages,
    models,
    monitoring_alerts,
    monitoring_definitions,
    monitoring_executions,
    monitoring_schedules,
    pipelines,
    processing_jobs,
    search,
    tags,
    training_jobs,
    transform_jobs,
    trial_components,
    trials,
    tuning_jobs,
)
from mlparity.apis.sagemaker.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *training_jobs.OPERATIONS,
    *processing_jobs.OPERATIONS,
    *transform_jobs.OPERATIONS,
    *tuning_jobs.OPERATIONS,
    *pipelines.OPERATIONS,
    *executions.OPERATIONS,
    *execution_steps.OPERATIONS,
    *callback_steps.OPERATIONS,
    *model_package_groups.OPERATIONS,
    *model_package_policies.OPERATIONS,
    *model_packages.OPERATIONS,
    *models.OPERATIONS,
    *endpoint_configs.OPERATIONS,
    *endpoints.OPERATIONS,
    *endpoint_updates.OPERATIONS,
    *monitoring_definitions.OPERATIONS,
    *monitoring_schedules.OPERATIONS,
    *monitoring_executions.OPERATIONS,
    *monitoring_alerts.OPERATIONS,
    *lineage_artifacts.OPERATIONS,
    *lineage_named.OPERATIONS,
    *lineage_associations.OPERATIONS,
    *lineage_query.OPERATIONS,
    *experiments.OPERATIONS,
    *trials.OPERATIONS,
    *trial_components.OPERATIONS,
    *mlflow_servers.OPERATIONS,
    *mlflow_apps.OPERATIONS,
    *search.OPERATIONS,
    *tags.OPERATIONS,
)

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}

"""The operation table: what is served, by what. Dispatch, coverage and tests read it."""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.apis.vertex import (
    batch_prediction,
    custom_jobs,
    deployed_models,
    endpoints,
    locations,
    metadata_graph,
    metadata_nodes,
    metadata_schemas,
    metadata_stores,
    model_evaluations,
    model_versions,
    models,
    monitoring_jobs,
    operations_service,
    pipeline_jobs,
    prediction,
    schedules,
    tensorboard_contents,
    tensorboard_data,
    tensorboards,
    training_pipelines,
    tuning_jobs,
)
from mlparity.apis.vertex.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *locations.OPERATIONS,
    *operations_service.OPERATIONS,
    *endpoints.OPERATIONS,
    *deployed_models.OPERATIONS,
    *prediction.OPERATIONS,
    *batch_prediction.OPERATIONS,
    *pipeline_jobs.OPERATIONS,
    *schedules.OPERATIONS,
    *models.OPERATIONS,
    *monitoring_jobs.OPERATIONS,
    *model_versions.OPERATIONS,
    *model_evaluations.OPERATIONS,
    *metadata_stores.OPERATIONS,
    *metadata_nodes.OPERATIONS,
    *metadata_graph.OPERATIONS,
    *metadata_schemas.OPERATIONS,
    *tensorboards.OPERATIONS,
    *tensorboard_contents.OPERATIONS,
    *tensorboard_data.OPERATIONS,
    *custom_jobs.OPERATIONS,
    *training_pipelines.OPERATIONS,
    *tuning_jobs.OPERATIONS,
)

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}

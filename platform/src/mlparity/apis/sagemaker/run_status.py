"""How runs and steps read in SageMaker's words."""

from __future__ import annotations

from mlparity.engine.runs import RunStatus, StepStatus

RUN_STATUS = {
    RunStatus.EXECUTING: "Executing",
    RunStatus.STOPPING: "Stopping",
    RunStatus.STOPPED: "Stopped",
    RunStatus.FAILED: "Failed",
    RunStatus.SUCCEEDED: "Succeeded",
}
# Pending and skipped steps have no status: SageMaker does not show them.
STEP_STATUS = {
    StepStatus.STARTING: "Starting",
    StepStatus.EXECUTING: "Executing",
    StepStatus.RETRYING: "Starting",
    StepStatus.STOPPING: "Stopping",
    StepStatus.STOPPED: "Stopped",
    StepStatus.FAILED: "Failed",
    StepStatus.SUCCEEDED: "Succeeded",
}

"""A model is uploaded, deployed and asked, a run of an experiment logged, a pipeline run. Nothing names the stack.

Runs as `mlparity exec` starts it: the SDK's default transport, gRPC to googleapis.com.
Arguments: the model's file, the compiled pipeline, and the file to write what was found into.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from google.cloud import aiplatform, storage

PROJECT, LOCATION = "twin-project", "europe-west4"
BUCKET = "twin-staging"


def serving(model_file: str) -> dict[str, Any]:
    model = aiplatform.Model.upload_scikit_learn_model_file(
        model_file_path=model_file, sklearn_version="1.5", display_name="ridge", version_aliases=["champion"]
    )
    endpoint = aiplatform.Endpoint.create(display_name="ridge")
    endpoint.deploy(model, machine_type="n1-standard-2", traffic_percentage=100)
    answer = endpoint.predict([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    raw = endpoint.raw_predict(b'{"instances": [[1.0, 0.0, 0.0]]}', {"Content-Type": "application/json"})
    found = {
        "name": model.resource_name,
        "alias": list(model.version_aliases),
        "predictions": answer.predictions,
        "asked": answer.model_resource_name,
        "raw": raw.json()["predictions"],
        "split": list(endpoint.traffic_split.values()),
    }
    endpoint.undeploy_all()
    endpoint.delete()
    model.delete()
    return found


def experiment() -> dict[str, Any]:
    aiplatform.init(experiment="twins")
    with aiplatform.start_run("one") as run:
        run.log_params({"alpha": 0.5})
        run.log_metrics({"mse": 0.25})
    (logged,) = aiplatform.ExperimentRun.list(experiment="twins")
    return {"name": logged.name, "params": logged.get_params(), "metrics": logged.get_metrics()}


def pipeline(job: aiplatform.PipelineJob) -> dict[str, Any]:
    job.wait()
    tasks = {task.task_name: task.state.name for task in job.task_details}
    (last,) = [task for task in job.task_details if task.task_name == "add-2"]
    execution = aiplatform.Execution(last.execution.name)
    return {"state": job.state.name, "tasks": tasks, "output": execution.metadata["output:Output"]}


def main(model_file: str, template: str, found: str) -> None:
    storage.Client(project=PROJECT).create_bucket(BUCKET, location=LOCATION)
    aiplatform.init(project=PROJECT, location=LOCATION, staging_bucket=f"gs://{BUCKET}")
    job = aiplatform.PipelineJob(display_name="sum", template_path=template, parameter_values={"a": 2, "b": 3})
    job.submit()
    results = {"version": aiplatform.__version__, "serving": serving(model_file), "experiment": experiment()}
    results["pipeline"] = pipeline(job)
    Path(found).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])

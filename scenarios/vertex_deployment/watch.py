"""Model monitoring: a job that holds the logged requests against the data that the model was trained on."""

from __future__ import annotations

import json
import time
from typing import Any

from mlparity.scenarios import Platform
from mlparity.scenarios.loops import Loops
from scenarios.vertex_deployment.flights import Flights
from scenarios.vertex_deployment.settings import FOLDER, MONITOR, THRESHOLD
from scenarios.vertex_training.settings import FEATURES

_BATCH = 25  # flights in a request


def create(platform: Platform, endpoint: Any, deployed: str, training_data: str) -> Any:
    """The monitoring job of one deployed model, when it runs."""
    from google.cloud import aiplatform
    from google.cloud.aiplatform import model_monitoring
    from google.cloud.storage import Blob

    place = platform.on_google
    schema = f"gs://{place.bucket}/{FOLDER}/schema.yaml"
    lines = ["type: object", "properties:", *(f"  {name}: {{type: number}}" for name in FEATURES)]
    lines += ["required:", *(f"- {name}" for name in FEATURES)]
    Blob.from_uri(schema, client=place.storage()).upload_from_string("\n".join(lines))
    skew = model_monitoring.SkewDetectionConfig(
        data_source=training_data,
        data_format="csv",
        target_field="late",
        skew_thresholds=dict.fromkeys(FEATURES, THRESHOLD),
    )
    job = aiplatform.ModelDeploymentMonitoringJob.create(
        endpoint=endpoint,
        display_name=MONITOR,
        objective_configs=model_monitoring.ObjectiveConfig(skew_detection_config=skew),
        deployed_model_ids=[deployed],
        logging_sampling_strategy=model_monitoring.RandomSampleConfig(sample_rate=1.0),
        schedule_config=model_monitoring.ScheduleConfig(monitor_interval=1),
        alert_config=model_monitoring.EmailAlertConfig(user_emails=["ana@example.com"]),
        analysis_instance_schema_uri=schema,
        stats_anomalies_base_directory=f"gs://{place.bucket}/{FOLDER}/monitoring",
    )
    return _until(platform, job, "JOB_STATE_RUNNING")


def send(endpoint: Any, flights: Flights) -> None:
    """Ask for predictions, some flights in each request."""
    for start in range(0, len(flights.instances), _BATCH):
        endpoint.predict(instances=flights.instances[start : start + _BATCH])


def logged(platform: Platform, endpoint: Any, wanted: int) -> int:
    """Wait until so many instances lie in the bucket, as the local stack keeps them."""
    place = platform.on_google
    client = place.storage()
    folder = f"request-response-logging/{place.location}/{endpoint.name}/"
    began = time.monotonic()
    while True:
        lines = [
            line
            for blob in client.list_blobs(place.bucket, prefix=folder)
            for line in blob.download_as_bytes().splitlines()
        ]
        found = sum(len(json.loads(line)["request_payload"]) for line in lines)
        if found >= wanted:
            return found
        platform.check(time.monotonic() - began < 60, f"{found} of {wanted} instances were logged")
        time.sleep(0.5)


def run_once(platform: Platform, loops: Loops, job: Any, deployed: str) -> dict[str, float]:
    """Have the job run now (its schedule counts hours); feature -> distance, of those above the threshold."""
    from google.cloud import aiplatform_v1

    loops.run_monitor(job.name)
    began = time.monotonic()
    objective = aiplatform_v1.SearchModelDeploymentMonitoringStatsAnomaliesRequest.StatsAnomaliesObjective(
        type_=aiplatform_v1.ModelDeploymentMonitoringObjectiveType.RAW_FEATURE_SKEW
    )
    asked = aiplatform_v1.SearchModelDeploymentMonitoringStatsAnomaliesRequest(
        model_deployment_monitoring_job=job.resource_name, deployed_model_id=deployed, objectives=[objective]
    )
    while True:
        found = list(job.api_client.search_model_deployment_monitoring_stats_anomalies(request=asked))
        if found:
            newest = {one.feature_display_name: one.prediction_stats[-1] for one in found[0].feature_stats}
            platform.check(newest.keys() == set(FEATURES), f"the features are {sorted(newest)}")
            above = {name: one.distribution_deviation for name, one in newest.items() if one.anomaly_uri}
            return dict(sorted(above.items(), key=lambda item: -item[1]))
        platform.check(time.monotonic() - began < 60, "the monitoring job found nothing")
        time.sleep(0.3)


def retire(platform: Platform, job: Any) -> None:
    """Once a day is enough for a job whose deployed model is gone; and then it is paused."""
    from google.cloud.aiplatform import model_monitoring

    job.update(schedule_config=model_monitoring.ScheduleConfig(monitor_interval=24))
    job.pause()
    platform.check(job.state.name == "JOB_STATE_PAUSED", f"the monitoring job is {job.state.name}")


def _until(platform: Platform, job: Any, wanted: str) -> Any:
    limit = 60.0 if platform.local else 3600.0
    began = time.monotonic()
    while True:
        state = job.state.name
        if state == wanted:
            return job
        platform.check(state == "JOB_STATE_PENDING", f"the monitoring job is {state}: {job.error}")
        platform.check(time.monotonic() - began < limit, f"the monitoring job was {state} for {limit:.0f} s")
        time.sleep(0.3 if platform.local else 30)

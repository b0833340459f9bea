"""Retraining: by a schedule, and by the loop that the monitoring job's anomaly sets off."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from mlparity.scenarios.loops import Loops
from scenarios.vertex_deployment.flights import Flights
from scenarios.vertex_deployment.rollout import measure
from scenarios.vertex_deployment.settings import (
    FOLDER,
    LOOP,
    MAX_ERROR_RATE,
    MIN_ROC_AUC,
    MODEL,
    SCHEDULE,
    STEPS,
    STRONG,
    SUMMER,
    Case,
)
from scenarios.vertex_deployment.training import approve, pipeline_job

_FINAL = {"suppressed", "rejected", "declined", "promoted", "rolled back", "stopped", "failed"}
_LIMIT = 300.0  # seconds


def create_schedule(platform: Platform, package: Path, parameters: dict[str, Any]) -> Any:
    """One run, at the next full minute: a night's schedule would be "0 3 * * *"."""
    from google.cloud import aiplatform

    job = pipeline_job(platform, package, SCHEDULE, parameters)
    schedule = aiplatform.PipelineJobSchedule(pipeline_job=job, display_name=SCHEDULE)
    schedule.create(
        cron="TZ=America/New_York * * * * *",
        max_concurrent_run_count=1,
        max_run_count=1,
        service_account=platform.on_google.service_account or None,
    )
    return schedule


def scheduled_run(platform: Platform, schedule: Any) -> Any:
    """The pipeline job that the schedule began, when it has ended."""
    began, limit = time.monotonic(), 120.0 if platform.local else 3600.0
    while True:
        jobs = schedule.list_jobs(enable_simple_view=False)  # the simple one says so at each call
        if jobs and jobs[0].state.name.endswith(("SUCCEEDED", "FAILED", "CANCELLED")):
            platform.check(jobs[0].state.name == "PIPELINE_STATE_SUCCEEDED", f"{jobs[0].name}: {jobs[0].state.name}")
            platform.check(len(jobs) == 1, f"the schedule began {len(jobs)} runs")
            return jobs[0]
        platform.check(time.monotonic() - began < limit, f"the schedule began {len(jobs)} runs, none has ended")
        time.sleep(0.5 if platform.local else 15)


def definition(platform: Platform, endpoint: Any, monitor: Any, package: Path, case: Case) -> dict[str, Any]:
    """What ``mlparity loop create`` takes. The compiled pipeline goes to the bucket."""
    from google.cloud.storage import Blob

    place = platform.on_google
    template = f"gs://{place.bucket}/{FOLDER}/pipeline.yaml"
    Blob.from_uri(template, client=place.storage()).upload_from_filename(str(package))
    return {
        "name": LOOP,
        "vendor": "vertex",
        "endpoint": endpoint.name,
        "model_group": MODEL,
        "trigger": {"monitoring_job": monitor.name},
        "retrain": {
            "pipeline": template,
            "pipeline_root": f"gs://{place.bucket}/{FOLDER}/pipelines",
            "parameters": {
                "project": place.project,
                "location": place.location,
                "model_id": MODEL,
                "months": f"[{SUMMER}]",
                "every": str(case.sample),
                "iterations": str(STRONG),
            },
        },
        "gate": {
            "metric": "roc_auc",
            "better": "higher",
            "threshold": MIN_ROC_AUC,
            "champion_metric": "registered.champion_roc_auc",
            "margin": 0.02,
        },
        "rollout": {
            "deployment": {
                "steps": list(STEPS),
                "step_seconds": 1,
                "min_requests": 5,
                "max_error_rate": MAX_ERROR_RATE,
            }
        },
    }


def follow(platform: Platform, loops: Loops, endpoint: Any, flights: Flights, who: str) -> dict[str, Any]:
    """Approve what the loop found good, and keep asking for predictions until it is promoted; the cycle."""
    began, approved, sent, failures = time.monotonic(), False, 0, 0
    while True:
        cycle = _cycle(loops)
        state, why = cycle["state"], cycle["history"][-1]["reason"]
        if state == "promoted":
            platform.check(failures == 0, f"{failures} of {sent} requests failed in the rollout")
            return {**cycle, "sent": sent}
        platform.check(state not in _FINAL, f"the loop's cycle ended as {state}: {why}")
        platform.check(time.monotonic() - began < _LIMIT, f"the loop is {state} after {_LIMIT:.0f} s: {why}")
        if state == "awaiting approval" and not approved:
            approve(cycle["facts"]["package"], who)
            approved = True
        elif state == "rolling out":
            seen = measure(endpoint, flights.part(sent, 50))
            sent, failures = sent + 50, failures + seen.failures
        else:
            time.sleep(0.3)


def _cycle(loops: Loops) -> dict[str, Any]:
    """The one that was not suppressed: the job tells of every feature."""
    cycles = loops.show(LOOP)["cycles"]
    waiting = {"state": "none", "history": [{"reason": "no anomaly has reached the loop"}]}
    return next((cycle for cycle in cycles if cycle["state"] != "suppressed"), waiting)

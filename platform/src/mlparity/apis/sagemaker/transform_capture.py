"""Data capture of batch transform jobs: manifests of what a job read and wrote, under the hour in which it ended.

DESTINATION/input/yyyy/mm/dd/hh/ID.json and DESTINATION/output/yyyy/mm/dd/hh/ID.json, so that no data is stored twice.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-batch.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mlparity.apis.sagemaker.context import API, Request, SageMaker
from mlparity.apis.sagemaker.errors import not_served
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.workspace import parse_uri

_KIND = "TransformJob"


def refuse_unsupported(request: Request) -> None:
    """Refuse by name what the captured data would lack."""
    if request.get("DataCaptureConfig", {}).get("GenerateInferenceId"):
        raise not_served("DataCaptureConfig.GenerateInferenceId")


def on_job(api: SageMaker, job: Job) -> None:
    """A JobService listener, within the transaction of the job's phase."""
    config = job.request.get("DataCaptureConfig") if (job.api, job.kind) == (API, _KIND) else None
    if not config or job.phase is not Phase.COMPLETED:
        return
    base, names = _inputs(api, job.request["TransformInput"]["DataSource"]["S3DataSource"])
    written = job.request["TransformOutput"]["S3OutputPath"].rstrip("/") + "/"
    manifests = {"input": [{"prefix": base}, *names], "output": [{"prefix": written}, *(f"{n}.out" for n in names)]}
    bucket, folder = parse_uri(config["DestinationS3Uri"].rstrip("/"))
    at = job.ended_at or job.modified_at
    for side, manifest in manifests.items():
        key = "/".join(part for part in (folder, side, f"{at:%Y/%m/%d/%H}", f"{job.id}.json") if part)
        api.store.put_bytes(bucket, key, json.dumps(manifest).encode(), content_type="application/json")


def _inputs(api: SageMaker, source: Request) -> tuple[str, Sequence[str]]:
    """(prefix, names) of the objects that the job read; each name is also its output's, without ``.out``."""
    bucket, key = parse_uri(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        entries = json.loads(api.store.get_bytes(bucket, key))
        return entries[0]["prefix"], entries[1:]
    keys = [info.key for info in api.store.iterate(bucket, key) if not info.key.endswith("/")]
    if keys == [key]:
        folder, _, name = key.rpartition("/")
        return (f"s3://{bucket}/{folder}/" if folder else f"s3://{bucket}/"), [name]
    base = f"{key}/" if key and not key.endswith("/") and all(item.startswith(f"{key}/") for item in keys) else key
    return f"s3://{bucket}/{base}", [item[len(base) :] for item in keys]

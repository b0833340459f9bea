"""The processing jobs of a monitoring execution, as CreateProcessingJob requests.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlparity.apis.sagemaker import processing_jobs
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.monitoring_capture import (
    Folder,
    capture_of,
    captured,
    has_objects,
    hour_folders,
    manifests,
)
from mlparity.apis.sagemaker.monitoring_plans import MODEL, MonitoringPlan
from mlparity.apis.sagemaker.monitoring_windows import Window
from mlparity.apis.sagemaker.own_calls import checked_request
from mlparity.apis.sagemaker.processing_contract import refuse_unsupported

_ROOT = "/opt/ml/processing"
STATISTICS_PATH, CONSTRAINTS_PATH = f"{_ROOT}/baseline/stats", f"{_ROOT}/baseline/constraints"
_TRUTH = f"{_ROOT}/groundtruth"
_BEFORE, _AFTER = f"{_ROOT}/code/preprocessing", f"{_ROOT}/code/postprocessing"
_MERGER = "sagemaker-model-monitor-groundtruth-merger"
_SIDES = '{"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}'
METRICS_FILE = "/opt/ml/output/metrics/cloudwatch/cloudwatch_metrics.jsonl"
NO_DATA = "Job inputs had no data"
# A member of the job's own record: which execution it belongs to. Described by nothing.
EXECUTION = "MonitoringExecution"

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run of a schedule."""

    schedule: str
    schedule_arn: str
    execution: str  # its name
    plan: MonitoringPlan
    window: Window
    scheduled_at: datetime


def requests(api: SageMaker, run: Run) -> list[Json]:
    """The jobs, one after the other: the analysis alone, or the merge with the truth before it.

    Raises SageMaker's errors; ``ValidationException`` with ``NO_DATA`` where there is nothing to look at.
    """
    plan = run.plan
    if not plan.endpoint:
        return [_analysis(api, run, _batches(api, run))]
    folders = captured(api, capture_of(api, plan.endpoint), run.window.hours())
    if not folders:
        raise validation(NO_DATA)
    data = [file_input(f"endpoint_input_{i}", f.uri, f"{_data_path(plan)}/{f.path}") for i, f in enumerate(folders, 1)]
    if plan.kind != MODEL:
        return [_analysis(api, run, data)]
    merged = _output_uri(run, "merge")
    merged_input = file_input("endpoint_input_1", f"{merged}/", f"{_data_path(plan)}/merged")
    return [_merge(api, run, data, merged), _analysis(api, run, [merged_input])]


def _batches(api: SageMaker, run: Run) -> list[Json]:
    """The inputs of the batch transform jobs that ended in the window."""
    found = manifests(api, run.plan.source["DataCapturedDestinationS3Uri"], run.window.hours())
    if not found:
        raise validation(NO_DATA)
    inputs = []
    for number, uri in enumerate(found, 1):
        entry = file_input(f"batch_transform_input_{number}", uri, f"{_data_path(run.plan)}/input/{number}")
        entry["S3Input"]["S3DataType"] = "ManifestFile"
        inputs.append(entry)
    return inputs


def checked(api: SageMaker, request: Json) -> Json:
    """``request`` as CreateProcessingJob would take it."""
    found = checked_request(api, "CreateProcessingJob", request)
    refuse_unsupported(found)
    return found


def _analysis(api: SageMaker, run: Run, data: Sequence[Json]) -> Json:
    plan, application = run.plan, run.plan.application
    inputs = list(data)
    environment = {
        "dataset_format": _format(plan),
        "dataset_source": _data_path(plan),
        "output_path": plan.output["LocalPath"],
        "publish_cloudwatch_metrics": "Enabled",
        **_window_environment(run),
    }
    for name, uri, path in _baselines(api, plan):
        inputs.append(file_input(name, uri, path))
        variable = "baseline_statistics" if name == "baseline" else "baseline_constraints"
        environment[variable] = f"{path}/{_file(uri)}"
    scripts = (
        ("RecordPreprocessorSourceUri", "pre_processor_script", "record_preprocessor_script", _BEFORE),
        ("PostAnalyticsProcessorSourceUri", "post_processor_script", "post_analytics_processor_script", _AFTER),
    )
    for member, name, variable, path in scripts:
        if script := application.get(member):
            inputs.append(file_input(name, script, path))
            environment[variable] = f"{path}/{_file(script)}"
    environment |= _attributes(plan)
    prefix = {MODEL: "model-quality-monitoring"}.get(
        plan.kind, "data-quality-monitoring" if plan.definition else "model-monitoring"
    )
    entry = {
        target: application[target] for target in ("ContainerEntrypoint", "ContainerArguments") if target in application
    }
    specification = {"ImageUri": application["ImageUri"], **entry}
    environment |= application.get("Environment") or {}
    output = {"S3Uri": _output_uri(run), "LocalPath": plan.output["LocalPath"], "S3UploadMode": _mode(plan)}
    return _request(run, prefix, specification, inputs, output, environment)


def _merge(api: SageMaker, run: Run, data: Sequence[Json], merged: str) -> Json:
    plan = run.plan
    assert plan.ground_truth is not None  # noqa: S101 - the vendor's model requires it of model quality jobs
    hours = list(Window(run.window.start, max(run.window.end, run.scheduled_at)).hours())
    truth = hour_folders(api, plan.ground_truth.rstrip("/"), [""], hours)
    if not truth:
        raise validation(f"{NO_DATA}: there is no ground truth in {plan.ground_truth} for the hours of the analysis")
    inputs = [*data[:5], *(_truth_input(i, folder) for i, folder in enumerate(truth[:5], 1))]
    if len(inputs) < len(data) + len(truth):
        raise validation(f"The window of the analysis has too many hours to be merged: {len(hours)}")
    environment = {
        "dataset_source": _data_path(plan),
        "ground_truth_source": _TRUTH,
        "output_path": f"{_ROOT}/output",
        **_window_environment(run),
    }
    registry, slash, rest = plan.application["ImageUri"].rpartition("/")
    tag = rest.partition(":")[2]
    image = f"{registry}{slash}{_MERGER}" + (f":{tag}" if tag else "")
    output = {"S3Uri": merged, "LocalPath": f"{_ROOT}/output", "S3UploadMode": "EndOfJob"}
    return _request(run, "groundtruth-merge", {"ImageUri": image}, inputs, output, environment)


def _truth_input(number: int, folder: Folder) -> Json:
    return file_input(f"ground_truth_input_{number}", folder.uri, f"{_TRUTH}/{folder.path}".rstrip("/"))


def _request(
    run: Run,
    prefix: str,
    application: Json,
    inputs: Sequence[Json],
    output: Json,
    environment: Mapping[str, str],
) -> Json:
    plan = run.plan
    digest = hashlib.sha256(f"{run.execution}/{prefix}".encode()).hexdigest()[:24]
    outputs: Json = {"Outputs": [{"OutputName": "result", "S3Output": output}]}
    if plan.output_key:
        outputs["KmsKeyId"] = plan.output_key
    request: Json = {
        "ProcessingJobName": f"{prefix}-{run.scheduled_at:%Y%m%d%H%M}-{digest}"[:63],
        "AppSpecification": application,
        "Environment": dict(environment),
        "ProcessingInputs": list(inputs),
        "ProcessingOutputConfig": outputs,
        "ProcessingResources": {"ClusterConfig": dict(plan.cluster)},
        "RoleArn": plan.role,
    }
    if plan.stopping:
        request["StoppingCondition"] = dict(plan.stopping)
    if plan.network:
        request["NetworkConfig"] = json.loads(json.dumps(plan.network))
    return request


def file_input(name: str, uri: str, path: str) -> Json:
    """An entry of ProcessingInputs: the objects whose URI starts with ``uri``, in the folder ``path``."""
    source = {
        "S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated", "S3CompressionType": "None",
    }  # fmt: skip
    return {"InputName": name, "S3Input": source}


def _baselines(api: SageMaker, plan: MonitoringPlan) -> list[tuple[str, str, str]]:
    """(input, URI, path) of what the data is held against; of the baselining job where no file is named."""
    resources = {
        "baseline": ("StatisticsResource", STATISTICS_PATH),
        "constraints": ("ConstraintsResource", CONSTRAINTS_PATH),
    }
    found = [
        (name, plan.baseline[member]["S3Uri"], path)
        for name, (member, path) in resources.items()
        if plan.baseline.get(member, {}).get("S3Uri")
    ]
    job = plan.baseline.get("BaseliningJobName")
    if not found and job:
        folder = baseline_folder(api, job)
        files = {"baseline": "statistics.json", "constraints": "constraints.json"}
        wanted = ["constraints"] if plan.kind == MODEL else list(files)
        found = [(name, f"{folder}/{files[name]}", resources[name][1]) for name in wanted]
    return [item for item in found if has_objects(api, item[1]) or _gone(item[1])]


def _gone(uri: str) -> bool:
    raise validation(f'No S3 objects found under S3 URL "{uri}" given in input data source.')


def baseline_folder(api: SageMaker, job: str) -> str:
    """Where a baselining job stores its files, without a slash at the end."""
    outputs = processing_jobs.find(api, job).request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    if not outputs:
        raise validation(f"The baselining job {job} has no output")
    uri: str = outputs[0]["S3Output"]["S3Uri"]
    return uri.rstrip("/")


def _attributes(plan: MonitoringPlan) -> dict[str, str]:
    given = plan.source
    names = {
        "InferenceAttribute": "inference_attribute",
        "ProbabilityAttribute": "probability_attribute",
        "ProbabilityThresholdAttribute": "probability_threshold_attribute",
        "ExcludeFeaturesAttribute": "exclude_features_attribute",
    }
    found = {variable: str(given[member]) for member, variable in names.items() if member in given}
    if plan.kind == MODEL:
        found["analysis_type"] = "MODEL_QUALITY"
        found["problem_type"] = plan.application.get("ProblemType", "")
    return found


def _format(plan: MonitoringPlan) -> str:
    """As the container's contract has it: {"csv": {"header": true}}."""
    given = plan.source.get("DatasetFormat")
    if given is None:
        return _SIDES
    return json.dumps(
        {kind.lower(): {name.lower(): value for name, value in form.items()} for kind, form in given.items()}
    )


def _window_environment(run: Run) -> dict[str, str]:
    return {
        "start_time": _time(run.window.start),
        "end_time": _time(run.window.end),
        "sagemaker_monitoring_schedule_name": run.schedule,
        **({"sagemaker_endpoint_name": run.plan.endpoint} if run.plan.endpoint else {}),
    }


def _output_uri(run: Run, part: str = "") -> str:
    parts = (run.plan.output["S3Uri"].rstrip("/"), part, run.plan.endpoint, run.schedule)
    return "/".join([*(item for item in parts if item), f"{run.scheduled_at:%Y/%m/%d/%H}"])


def _data_path(plan: MonitoringPlan) -> str:
    path: str = plan.source["LocalPath"]
    return path.rstrip("/")


def _mode(plan: MonitoringPlan) -> str:
    mode: str = plan.output.get("S3UploadMode", "EndOfJob")
    return mode


def _file(uri: str) -> str:
    return uri.rpartition("/")[2]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")

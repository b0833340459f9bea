"""Pipe mode: a job reads its channels from named pipes that the stack feeds while it runs."""

from __future__ import annotations

import gzip
import io
from typing import Any

from tests.sdk.cloud import JOBS, TRAINING_LOGS, Cloud, loads, sklearn_image, unique
from tests.sdk.refusals import refusal

LINES = [f"line {number}\n" for number in range(20_000)]  # more than a pipe holds
WAITS = """
import os
descriptor = os.open("/opt/ml/input/data/train_0", os.O_RDONLY)
print("read", os.read(descriptor, 5).decode(), flush=True)
open("/opt/ml/input/data/train_1").read()  # nothing comes while the first epoch is not over
"""
READS = "open('/opt/ml/input/data/train_0').read()"


def piped(cloud: Cloud, name: str, uri: str, **more: Any) -> dict[str, Any]:
    """A channel in Pipe mode."""
    return {**cloud.channel(name, uri), "InputMode": "Pipe", **more}


def test_a_script_reads_epochs_and_records(cloud: Cloud) -> None:
    from sagemaker.core.serializers.utils import read_recordio
    from sagemaker.core.shapes import Channel, DataSource, OutputDataConfig, S3DataSource
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, SourceCode

    base = unique("pipe")
    cloud.put(f"{base}/data/b.txt", "".join(LINES[10_000:]))
    cloud.put(f"{base}/data/a.txt", "".join(LINES[:10_000]))
    cloud.put(f"{base}/images/1.gz", gzip.compress(b"first"))
    cloud.put(f"{base}/images/2.gz", gzip.compress(b"the second"))
    trainer = ModelTrainer(
        training_image=sklearn_image(),
        training_input_mode="Pipe",
        source_code=SourceCode(source_dir=str(JOBS), entry_script="train_from_pipes.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base, "output")),
        role=cloud.role,
        base_job_name=base,
        sagemaker_session=cloud.session,
    )

    def channel(name: str, folder: str, **more: str) -> Channel:
        source = S3DataSource(
            s3_data_type="S3Prefix", s3_uri=cloud.uri(base, folder), s3_data_distribution_type="FullyReplicated"
        )
        return Channel(channel_name=name, data_source=DataSource(s3_data_source=source), **more)

    images = channel("records", "images/", compression_type="Gzip", record_wrapper_type="RecordIO", input_mode="Pipe")
    name = cloud.train(trainer, [channel("train", "data/"), images])
    described = cloud.trained(name)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert described["AlgorithmSpecification"]["TrainingInputMode"] == "Pipe"
    model = cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])
    seen = loads(model["seen.json"])
    assert seen["before"] == ["records_0", "train_0"]  # pipes, and no folders
    assert seen["is_fifo"] is True
    assert seen["epochs"] == ["".join(LINES)] * 2
    assert seen["first_line"] == LINES[0]
    assert list(read_recordio(io.BytesIO(model["records"]))) == [b"first", b"the second"]
    shown = {name: (each["TrainingInputMode"], each["RecordWrapperType"]) for name, each in seen["config"].items()}
    assert shown == {"train": ("Pipe", "None"), "records": ("Pipe", "RecordIO"), "code": ("File", "None")}


def test_a_job_in_the_middle_of_a_pipe_is_stopped(cloud: Cloud) -> None:
    name = unique("pipestop")
    data = cloud.put(f"{name}/data/a.txt", "".join(LINES))
    request = cloud.script_request(name, WAITS, InputDataConfig=[piped(cloud, "train", data)])
    cloud.sagemaker.create_training_job(**request)
    cloud.until_logged(TRAINING_LOGS, name, "read line ")
    cloud.sagemaker.stop_training_job(TrainingJobName=name)
    assert cloud.trained(name)["TrainingJobStatus"] == "Stopped"


def test_data_that_cannot_be_streamed_fails_the_job_and_says_which(cloud: Cloud) -> None:
    broken, empty = unique("pipebroken"), unique("pipeempty")
    data = cloud.put(f"{broken}/data/a.txt", "not compressed")
    channels = [piped(cloud, "train", data, CompressionType="Gzip")]
    cloud.sagemaker.create_training_job(**cloud.script_request(broken, READS, InputDataConfig=channels))
    channels = [piped(cloud, "train", cloud.uri(empty, "none"))]
    cloud.sagemaker.create_training_job(**cloud.script_request(empty, READS, InputDataConfig=channels))
    described = cloud.trained(broken)
    assert described["TrainingJobStatus"] == "Failed"
    assert f"object {broken}/data/a.txt is not gzip-compressed" in described["FailureReason"]
    assert "No S3 objects found" in cloud.trained(empty)["FailureReason"]


def test_what_only_pipes_can_do_is_refused_in_file_mode(cloud: Cloud) -> None:
    name = unique("piperefused")
    channel = {**cloud.channel("train", cloud.uri(name)), "RecordWrapperType": "RecordIO"}
    request = cloud.training_request(name, InputDataConfig=[channel])
    kind, text = refusal(lambda: cloud.sagemaker.create_training_job(**request))
    assert kind == "ValidationException"
    assert "RecordWrapperType RecordIO in File mode" in text

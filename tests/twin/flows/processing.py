"""Processors of SDK 2.x, as a notebook uses them."""

from __future__ import annotations

import contextlib
import io

from flow import CODE, MACHINE, ROLE, SESSION, SKLEARN, csv, report, table, together
from sagemaker import image_uris
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor

USUAL = {"role": ROLE, "instance_type": MACHINE, "instance_count": 1, "sagemaker_session": SESSION}
data = csv("data", table(100, 1))
image = image_uris.retrieve("sklearn", SESSION.boto_region_name, SKLEARN, instance_type=MACHINE)
script = {"image_uri": image, "command": ["python3"], **USUAL}
processors = {
    "sklearn": SKLearnProcessor(framework_version=SKLEARN, **USUAL),
    "script": ScriptProcessor(env={"MINE": "yes"}, **script),
    "framework": FrameworkProcessor(SKLearn, SKLEARN, **USUAL),
}
for name, processor in processors.items():
    with_folder = name == "framework"
    processor.run(
        code="split.py" if with_folder else str(CODE / "split.py"),
        **({"source_dir": str(CODE)} if with_folder else {}),
        inputs=[ProcessingInput(source=data, destination="/opt/ml/processing/input/data")],
        outputs=[ProcessingOutput(output_name=n, source=f"/opt/ml/processing/{n}") for n in ("train", "test")],
        arguments=["--share", "0.8"],
        wait=False,
    )
broken = ScriptProcessor(**script)
broken.run(code=str(CODE / "evaluate.py"), wait=False)

shown = io.StringIO()
with contextlib.redirect_stdout(shown):
    refused = together(
        sklearn=lambda: processors["sklearn"].latest_job.wait(logs=True),
        script=lambda: processors["script"].latest_job.wait(logs=False),
        framework=lambda: processors["framework"].latest_job.wait(logs=False),
        broken=lambda: broken.latest_job.wait(logs=False),
    )
found = {}
for name, processor in processors.items():
    described = processor.latest_job.describe()
    outputs = {item["OutputName"]: item["S3Output"]["S3Uri"] for item in described["ProcessingOutputConfig"]["Outputs"]}
    rows = {
        output: S3Downloader.read_file(f"{uri}/part.csv", sagemaker_session=SESSION).splitlines()
        for output, uri in outputs.items()
    }
    found[name] = {
        "job": processor.latest_job.job_name,
        "status": described["ProcessingJobStatus"],
        "rows": {output: [[float(v) for v in line.split(",")] for line in lines] for output, lines in rows.items()},
        "environment": described.get("Environment", {}),
    }
report(processors=found, shown=shown.getvalue(), refused=refused)

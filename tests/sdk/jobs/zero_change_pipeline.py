"""A pipeline as a user of the vendor's SDK writes it: it names no endpoint, no bucket and no role."""

import json
import os
import sys
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep

HERE = Path(__file__).parent
name = sys.argv[1]
plain = Session()
bucket = plain.default_bucket()
role = get_execution_role(plain)
session = PipelineSession()
s3 = plain.boto_session.client("s3")

image = image_uris.retrieve("sklearn", plain.boto_region_name, version="1.4-2", instance_type="ml.m5.large")
processor = ScriptProcessor(
    image_uri=image,
    command=["python3"],
    role=role,
    instance_type="ml.m5.large",
    instance_count=1,
    sagemaker_session=session,
)
destination = ProcessingS3Output(
    s3_uri=f"s3://{bucket}/{name}", local_path="/opt/ml/processing/out", s3_upload_mode="EndOfJob"
)
outputs = [ProcessingOutput(output_name="out", s3_output=destination)]
arguments = processor.run(code=str(HERE / "zero_change_work.py"), outputs=outputs)
pipeline = Pipeline(name=name, steps=[ProcessingStep(name="Work", step_args=arguments)], sagemaker_session=session)
pipeline.upsert(role_arn=role)
execution = pipeline.start()
execution.wait(delay=1, max_attempts=120)
found = json.loads(s3.get_object(Bucket=bucket, Key=f"{name}/found.json")["Body"].read())
told = {
    "endpoints": [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")],
    "host": s3.meta.endpoint_url,
    "bucket": bucket,
    "role": role,
    "status": execution.describe()["PipelineExecutionStatus"],
    "job": found,
}
sys.stdout.write(json.dumps(told) + "\n")

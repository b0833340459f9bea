"""A job that calls hard-coded hosts, as code that was written for the cloud does."""

import json
import urllib.request
from pathlib import Path

import boto3

sts = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
try:
    with urllib.request.urlopen("https://example.com"):
        refused = ""
except OSError as error:
    refused = str(error)
out = Path("/opt/ml/processing/out")
out.mkdir(parents=True, exist_ok=True)
found = {"arn": sts.get_caller_identity()["Arn"], "refused": refused, "answer": sum(range(10))}
(out / "found.json").write_text(json.dumps(found))

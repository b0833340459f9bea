from __future__ import annotations

import pytest

from mlparity.wire.aws_service import service_of


def signed(service: str) -> dict[str, str]:
    scope = f"Credential=mlparity/20261105/us-east-1/{service}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}


@pytest.mark.parametrize(
    ("headers", "query", "host", "expected"),
    [
        (signed("sagemaker"), "", "127.0.0.1:4570", "sagemaker"),
        (signed("S3"), "", "bucket.s3.us-east-1.amazonaws.com", "s3"),
        (signed("monitoring"), "", "127.0.0.1", "monitoring"),
        ({}, "X-Amz-Credential=k%2F20261105%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=x", "127.0.0.1", "s3"),
        ({}, "X-Amz-Credential=k%2F20261105%2Fus-east-1%2Fsagemaker%2Faws4_request", "127.0.0.1", "sagemaker"),
        ({"x-amz-target": "SageMaker.ListModels"}, "", "127.0.0.1", "sagemaker"),
        ({"x-amz-target": "Logs_20140328.GetLogEvents"}, "", "127.0.0.1", "logs"),
        ({"x-amz-target": "DynamoDB_20120810.ListTables"}, "", "127.0.0.1", "dynamodb"),
        ({}, "", "sts.amazonaws.com", "sts"),
        ({}, "", "sts.us-east-1.amazonaws.com:443", "sts"),
        ({}, "", "api.sagemaker.us-east-1.amazonaws.com", "sagemaker"),
        ({}, "", "runtime.sagemaker.us-east-1.amazonaws.com", "sagemaker"),
        ({}, "", "api.ecr.us-east-1.amazonaws.com", "ecr"),
        ({}, "", "monitoring.eu-west-1.amazonaws.com", "monitoring"),
        ({}, "", "my.bucket.s3.us-east-1.amazonaws.com", "s3"),
        ({}, "", "bucket.s3-us-west-2.amazonaws.com", "s3"),
        ({}, "", "s3.amazonaws.com", "s3"),
        ({"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, "", "127.0.0.1", "sts"),
        ({"content-type": "multipart/form-data; boundary=x"}, "", "127.0.0.1", "s3"),
        ({"authorization": "AWS key:signature"}, "", "127.0.0.1", "s3"),
        ({}, "list-type=2", "127.0.0.1", "s3"),
    ],
)
def test_service_of(headers: dict[str, str], query: str, host: str, expected: str) -> None:
    assert service_of(headers, query, host) == expected

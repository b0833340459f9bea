"""SageMaker's wire API (JSON 1.1), validated both ways against botocore's service model."""

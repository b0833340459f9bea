"""SageMaker's pipeline definition (schema 2020-12-01): read, checked, resolved and decided.

https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/
"""

"""The wire front of SageMaker's runtime (``sagemaker-runtime``, REST-JSON), which runs in the router's process."""

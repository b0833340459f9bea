"""The names that the scenario's files share. Everything that it makes begins with NAME, or is tagged with it."""

NAME = "mlflow-serving"
ENDPOINT = f"{NAME}-flights"
VARIANT = "AllTraffic"
REGISTERED_MODEL = f"{NAME}-flights"
EXPERIMENT = NAME
REPOSITORY = "mlflow-pyfunc"  # stacks/runtimes.yaml maps it to this machine's interpreter
CHAMPION, CHALLENGER = "champion", "challenger"
INSTANCE_TYPE = "ml.m5.large"

# Tags. The reaper looks at endpoints that have TTL_TAG, and at nothing else.
TTL_TAG = "ttl-until"  # ISO 8601 with its offset: "2026-01-31T18:00:00+00:00"
ENDPOINT_TAG = "serves-endpoint"  # on configurations and models: the endpoint that they were made for
VERSION_TAG = "model-version"
DIGEST_TAG = "model-digest"

"""The data plane: one process that takes invocations and passes each to a model server by the endpoint's table."""

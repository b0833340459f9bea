"""Kubeflow Pipelines' intermediate representation: read, checked and executed on the one engine."""

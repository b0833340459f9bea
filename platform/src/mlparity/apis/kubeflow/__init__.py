"""Kubeflow Pipelines' REST API, v2beta1, over the substrate."""

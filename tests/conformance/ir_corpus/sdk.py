"""The SDK as the corpus uses it. Its own warnings are the vendor's to mend."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kfp import compiler, dsl, kubernetes

__all__ = ["IMAGE", "compiler", "component", "dsl", "kubernetes"]

IMAGE = "python:3.11"
# kfp.local would install kfp into the environment that runs the tests.
component = dsl.component(base_image=IMAGE, install_kfp_package=False)

"""Every pipeline of the corpus that runs to its end with outputs to compare."""

from tests.conformance.ir_corpus import artifacts, flow, parameters

CASES = [*parameters.CASES, *artifacts.CASES, *flow.CASES]

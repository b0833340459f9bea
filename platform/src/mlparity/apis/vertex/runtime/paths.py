"""The paths of online predictions, and what endpoints are called in the substrate."""

from __future__ import annotations

import re

API = "vertex"  # the prefix of this API's endpoints in the substrate
# Predict, RawPredict and StreamRawPredict: groups are the endpoint's resource name, its location, its id, the method.
PREDICTION = re.compile(
    r"/v1(?:beta1)?/(projects/[^/?]+/locations/([^/?]+)/endpoints/([^/:?]+)):(predict|rawPredict|streamRawPredict)(?:\?.*)?\Z"
)


def endpoint_name(location: str, endpoint_id: str) -> str:
    """The substrate's name of an endpoint. Ids are unique in a location, whichever project a request names."""
    return f"{location}/{endpoint_id}"

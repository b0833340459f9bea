"""The operation tables against the vendor's own service model."""

from __future__ import annotations

from collections import Counter

import botocore.session

from mlparity.storage.s3 import ABSENT, OPERATIONS

# Older names of operations that have another name today, and operations that are not of buckets and objects.
ALIASES = {
    "GetBucketLifecycle",
    "PutBucketLifecycle",
    "GetBucketNotification",
    "PutBucketNotification",
    "ListDirectoryBuckets",
    "WriteGetObjectResponse",
}


def test_every_operation_of_the_vendor_is_there_or_said_to_be_absent() -> None:
    model = botocore.session.get_session().get_service_model("s3")
    declared = Counter([each.name for each in OPERATIONS] + [each.name for each in ABSENT])
    assert [name for name, count in declared.items() if count > 1] == []
    assert set(declared) | ALIASES == set(model.operation_names)


def test_method_and_query_are_the_vendors() -> None:
    model = botocore.session.get_session().get_service_model("s3")
    for each in OPERATIONS:
        http = model.operation_model(each.name).http
        assert http["method"] == each.method, each.name
        query = http["requestUri"].partition("?")[2]
        for name in filter(None, query.split("&")):
            assert name.partition("=")[0] in each.query, each.name

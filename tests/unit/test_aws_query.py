from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from mlparity.wire.aws_model import AwsModel
from mlparity.wire.aws_query import parse_request, render_error, render_response


def test_lists_structures_and_numbers_of_a_request() -> None:
    form = dict(
        parse_qsl(
            "Action=SimulateCustomPolicy&PolicyInputList.member.1=%7B%7D&ActionNames.member.1=a&ActionNames.member.2=b"
            "&ContextEntries.member.1.ContextKeyName=k&ContextEntries.member.1.ContextKeyValues.member.1=v&MaxItems=7"
        )
    )
    assert parse_request(AwsModel.load("iam").document, "SimulateCustomPolicy", form) == {
        "PolicyInputList": ["{}"],
        "ActionNames": ["a", "b"],
        "ContextEntries": [{"ContextKeyName": "k", "ContextKeyValues": ["v"]}],
        "MaxItems": 7,
    }


def test_maps_and_booleans_of_a_request() -> None:
    document = AwsModel.load("sns").document
    form = {"Name": "n", "Attributes.entry.1.key": "FifoTopic", "Attributes.entry.1.value": "true"}
    assert parse_request(document, "CreateTopic", form) == {"Name": "n", "Attributes": {"FifoTopic": "true"}}
    assert parse_request(document, "Subscribe", {"ReturnSubscriptionArn": "true"}) == {"ReturnSubscriptionArn": True}


def test_what_is_not_a_number_is_left_to_the_validation() -> None:
    form = {"DurationSeconds": "soon"}
    assert parse_request(AwsModel.load("sts").document, "GetSessionToken", form) == {"DurationSeconds": "soon"}


def test_responses_escape_and_date() -> None:
    expiration = datetime(2026, 1, 2, tzinfo=UTC)
    credentials = {"AccessKeyId": "A<&>", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": expiration}
    answer = {"Credentials": credentials}
    root = ET.fromstring(render_response(AwsModel.load("sts").document, "GetSessionToken", answer, "id-1"))
    name = "{https://sts.amazonaws.com/doc/2011-06-15/}"
    found = root.find(f"{name}GetSessionTokenResult/{name}Credentials")
    assert found is not None
    assert [child.text for child in found] == ["A<&>", "s", "t", "2026-01-02T00:00:00Z"]
    assert root.findtext(f"{name}ResponseMetadata/{name}RequestId") == "id-1"


def test_errors() -> None:
    root = ET.fromstring(render_error("urn:x", "NoSuchEntity", "a < b", "id-2"))
    assert root.findtext("{urn:x}Error/{urn:x}Code") == "NoSuchEntity"
    assert root.findtext("{urn:x}Error/{urn:x}Message") == "a < b"

"""The topic says which dialect an announcement is in, and both end up as the same thing."""

import json

import pytest

from samesky.core.strict import Reason, Refused
from samesky.mesh.announcement import integrity_of
from samesky.mesh.dialects import decode

NOW_NS = 1_750_000_000 * 10**9
CONTENT = integrity_of(b"hello\n")
CHECKSUM = {"method": "sha512", "value": CONTENT.value}
V03_TOPIC = "xpublic/v03/post/wis2/ca-eccc-msc/data/core/weather"
WIS2_TOPIC = "cache/a/wis2/ca-eccc-msc/data/core/weather"
PATH = "wis2/ca-eccc-msc/data/core/weather/hello.txt"
V03 = {"pubTime": "20220320T045018.5", "baseUrl": "http://h/data/", "relPath": PATH, "size": 6, "integrity": CHECKSUM}
WIS2 = {
    "id": "31e9d66a-cd83-4174-9429-b932f1abe1be",
    "conformsTo": ["http://wis.wmo.int/spec/wnm/1/conf/core"],
    "type": "Feature",
    "geometry": None,
    "properties": {
        "data_id": PATH,
        "pubtime": "2022-03-20T04:50:18.5Z",
        "datetime": None,
        "integrity": CHECKSUM,
    },
    "links": [{"rel": "canonical", "href": f"http://h/data/{PATH}", "length": 6}],
}


def test_the_same_file_is_the_same_in_both_dialects() -> None:
    ours = decode(V03_TOPIC, json.dumps(V03).encode(), None, now_ns=NOW_NS)
    theirs = decode(WIS2_TOPIC, json.dumps(WIS2).encode(), None, now_ns=NOW_NS)
    assert (ours.path, ours.version, ours.url, ours.size) == (theirs.path, theirs.version, theirs.url, theirs.size)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "application/geo+json", "application/JSON; charset=utf-8"],
)
def test_json_is_taken_under_any_of_its_names(content_type: str | None) -> None:
    assert decode(V03_TOPIC, json.dumps(V03).encode(), content_type, now_ns=NOW_NS).path == PATH
    assert decode(WIS2_TOPIC, json.dumps(WIS2).encode(), content_type, now_ns=NOW_NS).path == PATH


@pytest.mark.parametrize("content_type", ["text/html", "application/x-protobuf", "json", "application/jsonx"])
def test_row_11_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(V03_TOPIC, json.dumps(V03).encode(), content_type, now_ns=NOW_NS)
    assert caught.value.reason is Reason.VERSION


def test_wis2_isnt_read_from_another_topic_nor_v03_from_one_of_wis2() -> None:
    for topic, document, reason in [(V03_TOPIC, WIS2, Reason.REQUIRED), (WIS2_TOPIC, V03, Reason.VERSION)]:
        with pytest.raises(Refused) as caught:
            decode(topic, json.dumps(document).encode(), None, now_ns=NOW_NS)
        assert caught.value.reason is reason


def test_the_user_may_allow_larger_inline_content_in_v03() -> None:
    fields = {**V03, "size": 5000, "content": {"encoding": "utf-8", "value": "x" * 5000}}
    with pytest.raises(Refused):
        decode(V03_TOPIC, json.dumps(fields).encode(), None, now_ns=NOW_NS)
    announcement = decode(V03_TOPIC, json.dumps(fields).encode(), None, now_ns=NOW_NS, inline_max_bytes=5000)
    assert announcement.content == b"x" * 5000


def test_row_33_a_message_with_thousands_of_properties_is_refused() -> None:
    for properties in ([("a", "b")] * 10_000, [("a", "b" * 5000)]):
        with pytest.raises(Refused) as caught:
            decode(V03_TOPIC, json.dumps(V03).encode(), None, now_ns=NOW_NS, properties=properties)
        assert caught.value.reason is Reason.PROPS

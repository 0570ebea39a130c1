"""WIS2 Notification Messages are read as strictly as their schema is, and those that are written satisfy it."""

import copy
import gzip
import json
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from samesky.core.strict import Reason, Refused
from samesky.mesh.announcement import Announcement, integrity_of
from samesky.mesh.v03 import decode_v03, encode_v03
from samesky.mesh.wis2 import decode_wis2, encode_wis2
from samesky.mesh.wis2_topics import centre_of_topic, data_of_path, is_wis2_topic, path_of_data, wis2_topic
from stands.mesh_wis2 import EXAMPLES, make_validator, read_example

NOW_NS = 1_750_000_000 * 10**9
TOPIC = "origin/a/wis2/ca-eccc-msc/data/core/weather/surface-based-observations/synop"
CACHE_TOPIC = "cache" + TOPIC.removeprefix("origin")
DATA_ID = "wis2/ca-eccc-msc/data/core/weather/surface-based-observations/synop/UANT01_CWAO_200445.bufr4"
HELLO = integrity_of(b"hello\n")
USUAL: dict[str, Any] = {
    "id": "31e9d66a-cd83-4174-9429-b932f1abe1be",
    "conformsTo": ["http://wis.wmo.int/spec/wnm/1/conf/core"],
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [6.146255135536194, 46.223296618227444, 392]},
    "properties": {
        "pubtime": "2022-03-20T04:50:18.314854383Z",
        "datetime": "2022-03-20T04:45:00Z",
        "integrity": {"method": "sha512", "value": HELLO.value},
        "data_id": DATA_ID,
        "metadata_id": "urn:wmo:md:ca-eccc-msc:observations.swob",
    },
    "links": [
        {"href": "https://example.org/oapi/items/x", "rel": "item", "type": "application/json"},
        {
            "href": "https://example.org/data/x%20y.bufr4?a=1",
            "rel": "canonical",
            "type": "application/bufr",
            "length": 6,
        },
    ],
}
LOCAL = Announcement(DATA_ID, 1_647_751_818_000_000_000, HELLO, 6, "https://ours/data")


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return make_validator()


def changed(*path: object, to: object = ...) -> dict[str, Any]:
    """Return the usual message with the member at ``path`` set, or deleted."""
    document = copy.deepcopy(USUAL)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


def decode(document: object, topic: str = TOPIC) -> Announcement:
    return decode_wis2(document if isinstance(document, bytes) else json.dumps(document).encode(), topic, now_ns=NOW_NS)


def reason_of(document: object, topic: str = TOPIC) -> Reason:
    with pytest.raises(Refused) as caught:
        decode(document, topic)
    return caught.value.reason


def write(announcement: Announcement, **options: str) -> dict[str, Any]:
    return json.loads(encode_wis2(announcement, **options))


def test_a_message_is_read() -> None:
    announcement = decode(USUAL)
    assert announcement.path == DATA_ID
    assert announcement.pub_time == 1_647_751_818_314_854_383
    assert (announcement.integrity, announcement.size, announcement.operation) == (HELLO, 6, "put")
    assert announcement.url == "https://example.org/data/x%20y.bufr4?a=1"


def test_a_cache_changes_id_and_link_adds_its_name_and_leaves_all_else(schema: Draft202012Validator) -> None:
    fetched = replace(decode(USUAL), base_url="https://ours/data", retrieve="")
    written = write(fetched, centre_id="de-dwd-global-cache")
    assert list(schema.iter_errors(written)) == []
    expected = copy.deepcopy(USUAL)
    expected["id"] = written["id"]
    expected["properties"]["global-cache"] = "de-dwd-global-cache"
    expected["links"].reverse()
    expected["links"][0]["href"] = f"https://ours/data/{DATA_ID}"
    assert written == expected
    assert written["id"] != USUAL["id"]
    assert wis2_topic(fetched, centre_id="de-dwd-global-cache") == CACHE_TOPIC


def test_what_isnt_to_be_cached_is_passed_on_as_it_is_but_for_its_id() -> None:
    document = changed("properties", "cache", to=False)
    written = write(decode(document), centre_id="de-dwd-global-cache")
    expected = {**document, "id": written["id"], "links": document["links"][::-1]}
    assert written == expected
    assert written["id"] != document["id"]


def test_the_same_announcement_has_the_same_id_again_and_another_has_another() -> None:
    same = {write(LOCAL)["id"] for _ in range(2)}
    others = {
        write(replace(LOCAL, pub_time=LOCAL.pub_time + 1))["id"],
        write(replace(LOCAL, base_url="https://other/"))["id"],
        write(replace(LOCAL, integrity=integrity_of(b"x")))["id"],
        write(replace(LOCAL, operation="remove"))["id"],
        write(LOCAL, centre_id="de-dwd")["id"],
    }
    assert len(same) == 1
    assert len(others | same) == 6


def test_a_file_of_the_tree_is_told_with_what_is_known_of_it(schema: Draft202012Validator) -> None:
    written = write(replace(LOCAL, content=b"hello\n"))
    assert list(schema.iter_errors(written)) == []
    assert written["properties"] == {
        "data_id": DATA_ID,
        "pubtime": "2022-03-20T04:50:18Z",
        "datetime": None,
        "integrity": {"method": "sha512", "value": HELLO.value},
        "content": {"encoding": "base64", "value": "aGVsbG8K", "size": 6},
    }
    assert written["links"] == [
        {"href": f"https://ours/data/{DATA_ID}", "rel": "canonical", "type": "application/bufr", "length": 6}
    ]
    assert wis2_topic(LOCAL, centre_id="ca-eccc-msc") == TOPIC
    assert wis2_topic(LOCAL) == CACHE_TOPIC


def test_a_message_told_through_v03_is_the_same_message_again() -> None:
    announcement = decode(USUAL)
    through = decode_v03(encode_v03(announcement), now_ns=NOW_NS)
    assert encode_wis2(through) == encode_wis2(announcement)
    assert wis2_topic(through, "cache") == CACHE_TOPIC


@pytest.mark.parametrize(
    "travelled",
    [
        7,
        {"topic": 7},
        {"topic": "origin/a/wis2/de-dwd/data/core/weather"},
        {"properties": {"datetime": 7}},
        {"properties": {"start_datetime": "2022-03-20T04:45:00Z"}},
        {"properties": []},
        {"geometry": {"type": "Circle"}},
        {"links": [7]},
        {"links": 7},
        {"links": [{"rel": "canonical"}, {"rel": "item"}]},
        {"version": "v05"},
        {"conformsTo": ["elsewhere"]},
        {"id": "7", "type": "Collection"},
        {"note": "x" * 9000},
    ],
)
def test_what_came_along_from_elsewhere_never_spoils_a_message(travelled: object, schema: Draft202012Validator) -> None:
    announcement = replace(LOCAL, extra={"wis2": travelled})
    written = write(announcement)
    assert list(schema.iter_errors(written)) == []
    assert written["links"][0]["href"] == LOCAL.url
    assert wis2_topic(announcement, "origin") == TOPIC


def test_what_came_along_cant_say_what_we_tell() -> None:
    lies = {
        "topic": TOPIC,
        "id": USUAL["id"],
        "properties": {"data_id": "x", "pubtime": "y", "integrity": {}, "content": {}, "datetime": None},
        "links": [{"rel": "canonical", "href": "http://elsewhere/", "length": -1, "type": "text/plain"}],
    }
    written = write(replace(LOCAL, extra={"wis2": lies}))
    assert written["id"] == write(LOCAL)["id"]
    assert written["properties"] == write(LOCAL)["properties"]
    assert written["links"] == [{"href": LOCAL.url, "rel": "canonical", "type": "text/plain", "length": 6}]


def test_an_md5_isnt_told_in_wis2(schema: Draft202012Validator) -> None:
    written = write(replace(LOCAL, integrity=integrity_of(b"hello\n", "md5")))
    assert "integrity" not in written["properties"]
    assert list(schema.iter_errors(written)) == []


def test_content_comes_along_up_to_4096_bytes_in_base64() -> None:
    for size, along in ((3072, True), (3073, False), (0, False)):
        written = write(replace(LOCAL, content=b"x" * size, size=size))
        assert ("content" in written["properties"]) is along
        assert decode(written).content == (b"x" * size if along else None)


def test_content_is_left_out_where_the_message_would_be_too_large() -> None:
    crowded = replace(decode(changed("properties", "note", to="x" * 4500)), content=b"x" * 3000, size=3000)
    payload = encode_wis2(crowded)
    assert len(payload) <= 8192
    assert "content" not in json.loads(payload)["properties"]
    assert json.loads(payload)["properties"]["note"] == "x" * 4500


def test_the_longest_announcement_fits_into_a_message() -> None:
    path = check_length("wis2/ca-eccc-msc/data/core/weather/" + "/".join(["é" * 100] * 4))
    announcement = replace(LOCAL, path=path, base_url="http://h/" + "x" * 1000, content=b"x" * 3072, size=3072)
    assert len(encode_wis2(announcement)) <= 8192


def check_length(path: str) -> str:
    assert 800 < len(path.encode()) <= 1024
    return path


def test_a_deletion_is_a_removal_and_is_written_as_one(schema: Draft202012Validator) -> None:
    for relation in ("deletion", "http://def.wmo.int/def/rel/wnm/-/deletion"):
        announcement = decode(changed("links", 1, "rel", to=relation))
        assert (announcement.operation, announcement.path) == ("remove", DATA_ID)
        assert write(announcement)["links"][0]["rel"] == relation
    written = write(replace(LOCAL, operation="remove", integrity=None, size=None))
    assert written["links"] == [{"href": f"https://ours/data/{DATA_ID}", "rel": "deletion", "type": "application/bufr"}]
    assert list(schema.iter_errors(written)) == []


@pytest.mark.parametrize("relation", ["update", "http://def.wmo.int/def/rel/wnm/-/update"])
def test_an_update_stays_an_update(relation: str) -> None:
    announcement = decode(changed("links", 1, "rel", to=relation))
    assert announcement.operation == "put"
    assert write(announcement)["links"][0]["rel"] == relation
    assert write(replace(announcement, operation="remove"))["links"][0]["rel"] == "deletion"


@pytest.mark.parametrize(
    ("announcement", "reason"),
    [
        (replace(LOCAL, path="data/hello.txt"), Reason.NAME),
        (replace(LOCAL, operation="rename", target="x"), Reason.VERSION),
        (replace(LOCAL, operation="mkdir"), Reason.VERSION),
        (replace(LOCAL, base_url=""), Reason.URL),
    ],
)
def test_what_wis2_has_no_words_for_is_refused(announcement: Announcement, reason: Reason) -> None:
    with pytest.raises(Refused) as caught:
        encode_wis2(announcement)
    assert caught.value.reason is reason
    assert reason is Reason.URL or wis2_topic(announcement) is None


@pytest.mark.parametrize("method", ["sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"])
def test_checksums_are_read_in_base64_and_in_hexadecimal_as_eumetsat_writes_them(method: str) -> None:
    integrity = integrity_of(b"hello\n", method)
    for value in (integrity.value, integrity.digest.hex()):
        announcement = decode(changed("properties", "integrity", to={"method": method, "value": value}))
        assert announcement.integrity == integrity
        assert write(announcement)["properties"]["integrity"] == {"method": method, "value": integrity.value}


EXAMPLE_TOPIC = "origin/a/wis2/int-eumetsat/data/core/weather/space-based-observations"
EXAMPLE_RESULTS = {
    "eumetsat-msg-seviri-core-notification.json": "put",
    "eumetsat-msg-seviri-recommended-api-notification.json": "put",
    "eumetsat-msg-seviri-recommended-notification.json": "put",
    "example1.json": Reason.INLINE,  # says 457 bytes for a content of 27; its checksum is abbreviated, too
    "example2.json": Reason.CHECKSUM,  # "A2KNxvks...S8qfSCw==" proves nothing
    "example3.json": "put",
    "example4.json": "remove",
}


@pytest.mark.parametrize("name", EXAMPLE_RESULTS)
def test_the_published_examples_are_read_unless_they_cant_be_true(name: str, schema: Draft202012Validator) -> None:
    document, expected = read_example(name), EXAMPLE_RESULTS[name]
    if isinstance(expected, Reason):
        assert reason_of(document, EXAMPLE_TOPIC) is expected
        return
    announcement = decode(document, EXAMPLE_TOPIC)
    assert announcement.operation == expected
    assert announcement.path.startswith("wis2/int-eumetsat/")
    written = write(announcement)
    assert list(schema.iter_errors(written)) == []
    assert decode(written, EXAMPLE_TOPIC) == announcement


def test_every_published_example_is_among_those() -> None:
    assert not EXAMPLES or {path.name for path in EXAMPLES} == set(EXAMPLE_RESULTS)


def content_of(value: str, encoding: str = "utf-8", size: int = 6) -> dict[str, object]:
    return {"encoding": encoding, "value": value, "size": size}


PACKED = b64encode(gzip.compress(b"hello\n")).decode()


@pytest.mark.parametrize(
    "content",
    [
        content_of("hello\n"),
        content_of("aGVsbG8K", "base64"),
        content_of("aGVsbG8K", "base64", size=8),
        content_of(PACKED, "gzip"),
        content_of(PACKED, "gzip", size=len(gzip.compress(b"hello\n"))),
        content_of(PACKED, "gzip", size=len(PACKED)),
    ],
)
def test_inline_content_is_read_in_every_encoding(content: dict[str, object]) -> None:
    assert decode(changed("properties", "content", to=content)).content == b"hello\n"


def bomb() -> str:
    return b64encode(gzip.compress(bytes(2_000_000))).decode()


BAD_MESSAGES: dict[str, tuple[Callable[[], object], Reason]] = {
    "row 1: nothing": (lambda: b"", Reason.EMPTY),
    "row 2: UTF-16": (lambda: json.dumps(USUAL).encode("utf-16"), Reason.ENCODING),
    "row 3: cut short": (lambda: json.dumps(USUAL).encode()[:-1], Reason.JSON),
    "row 4: an array": (lambda: [USUAL], Reason.SHAPE),
    "row 5: 100 deep": (lambda: json.dumps(changed("note", to=0)).replace("0}", "[" * 99).encode(), Reason.JSON),
    "row 5: too deep": (lambda: changed("note", to=[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]), Reason.DEPTH),
    "row 6: NaN": (lambda: changed("geometry", "coordinates", to=[float("nan"), 1.0]), Reason.NONFINITE),
    "row 7: a key twice": (lambda: json.dumps(USUAL).encode().replace(b'"id"', b'"id": "", "id"', 1), Reason.DUPKEY),
    "row 8: 2^63": (lambda: changed("links", 1, "length", to=1 << 63), Reason.RANGE),
    "row 9: 8,193 bytes": (lambda: changed("note", to="x" * 8192), Reason.SIZE),
    "row 10: a bomb": (lambda: changed("properties", "content", to=content_of(bomb(), "gzip")), Reason.BOMB),
    "row 11: another version": (lambda: changed("conformsTo", to=["http://wis/spec/wnm/2/conf/core"]), Reason.VERSION),
    "row 11: no version": (lambda: changed("conformsTo"), Reason.VERSION),
    "row 11: two versions": (lambda: changed("version", to="v04"), Reason.VERSION),
    "row 14: a number as data_id": (lambda: changed("properties", "data_id", to=7), Reason.TYPE),
    "row 14: a text as length": (lambda: changed("links", 1, "length", to="6"), Reason.TYPE),
    "row 14: a text as cache": (lambda: changed("properties", "cache", to="false"), Reason.TYPE),
    "row 14: a text as properties": (lambda: changed("properties", to="x"), Reason.TYPE),
    "row 14: a text as integrity": (lambda: changed("properties", "integrity", to="x"), Reason.TYPE),
    "row 15: no data_id": (lambda: changed("properties", "data_id"), Reason.REQUIRED),
    "row 15: no pubtime": (lambda: changed("properties", "pubtime"), Reason.REQUIRED),
    "row 15: no id": (lambda: changed("id"), Reason.REQUIRED),
    "row 15: no geometry": (lambda: changed("geometry"), Reason.REQUIRED),
    "row 15: no properties": (lambda: changed("properties"), Reason.REQUIRED),
    "row 15: no links": (lambda: changed("links"), Reason.REQUIRED),
    "row 15: an empty data_id": (lambda: changed("properties", "data_id", to=""), Reason.REQUIRED),
    "row 15: no link to the data": (lambda: changed("links", 1, "rel", to="item"), Reason.REQUIRED),
    "row 15: a link without href": (lambda: changed("links", 1, "href"), Reason.REQUIRED),
    "row 15: a link without rel": (lambda: changed("links", 0, "rel"), Reason.REQUIRED),
    "row 16: in the future": (lambda: changed("properties", "pubtime", to="2035-01-01T00:00:00Z"), Reason.FUTURE),
    "row 17: 1970": (lambda: changed("properties", "pubtime", to="1970-01-01T00:00:00Z"), Reason.PAST),
    "a time of v03": (lambda: changed("properties", "pubtime", to="20220320T045018.3"), Reason.RANGE),
    "a time that isn't UTC": (lambda: changed("properties", "pubtime", to="2022-03-20T04:50:18+01:00"), Reason.RANGE),
    "the 30th of February": (lambda: changed("properties", "datetime", to="2022-02-30T00:00:00Z"), Reason.RANGE),
    "neither time nor span": (lambda: changed("properties", "datetime"), Reason.SHAPE),
    "an id that is no UUID": (lambda: changed("id", to="31e9d66a"), Reason.SHAPE),
    "a collection": (lambda: changed("type", to="FeatureCollection"), Reason.SHAPE),
    "a circle": (lambda: changed("geometry", "type", to="Circle"), Reason.SHAPE),
    "a point of texts": (lambda: changed("geometry", "coordinates", to=["6", "46"]), Reason.SHAPE),
    "a point of bools": (lambda: changed("geometry", "coordinates", to=[True, False]), Reason.SHAPE),
    "a triangle that isn't closed": (
        lambda: changed("geometry", to={"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}),
        Reason.SHAPE,
    ),
    "no links at all": (lambda: changed("links", to=[]), Reason.SHAPE),
    "there and deleted": (lambda: changed("links", 0, "rel", to="deletion"), Reason.SHAPE),
    "row 34: an MD5": (
        lambda: changed("properties", "integrity", to={"method": "md5", "value": "Cg=="}),
        Reason.CHECKSUM,
    ),
    "a checksum of another length": (
        lambda: changed("properties", "integrity", "value", to=integrity_of(b"", "sha256").value),
        Reason.CHECKSUM,
    ),
    "row 35: upwards": (lambda: changed("properties", "data_id", to="../x"), Reason.PATH),
    "row 35: upwards behind the topic": (
        lambda: changed("properties", "data_id", to="wis2/ca-eccc-msc/../../x"),
        Reason.PATH,
    ),
    "row 35: absolute": (lambda: changed("properties", "data_id", to="/etc/x"), Reason.PATH),
    "row 37: NUL": (lambda: changed("properties", "data_id", to="a\0b"), Reason.PATH),
    "row 38: our own folder": (lambda: changed("properties", "data_id", to=".samesky/x"), Reason.RESERVED),
    "row 41: a URL with a newline": (lambda: changed("links", 1, "href", to="http://h/\nx"), Reason.URL),
    "row 41: a URL without a host": (lambda: changed("links", 1, "href", to="/data/x"), Reason.URL),
    "row 44: over 4 KiB": (
        lambda: changed("properties", "content", to=content_of("x" * 4097, size=4096)),
        Reason.INLINE,
    ),
    "row 44: a size over 4 KiB": (
        lambda: changed("properties", "content", to=content_of("x", size=5000)),
        Reason.INLINE,
    ),
    "row 44: bad base64": (lambda: changed("properties", "content", to=content_of("aGVs?", "base64")), Reason.INLINE),
    "row 44: bad gzip": (lambda: changed("properties", "content", to=content_of("aGVsbG8K", "gzip")), Reason.INLINE),
    "row 44: gzip cut short": (
        lambda: changed(
            "properties", "content", to=content_of(b64encode(gzip.compress(b"hello\n")[:-4]).decode(), "gzip")
        ),
        Reason.INLINE,
    ),
    "row 44: gzip and more": (
        lambda: changed(
            "properties", "content", to=content_of(b64encode(gzip.compress(b"hello\n") + b"x").decode(), "gzip")
        ),
        Reason.INLINE,
    ),
    "row 44: another size": (lambda: changed("properties", "content", to=content_of("hello\n", size=7)), Reason.INLINE),
    "row 44: another size than the link's": (
        lambda: changed("properties", "content", to=content_of("hello", size=5)),
        Reason.INLINE,
    ),
    "row 44: an unknown encoding": (lambda: changed("properties", "content", to=content_of("x", "zip")), Reason.INLINE),
    "row 44: no size": (
        lambda: changed("properties", "content", to={"encoding": "utf-8", "value": "x"}),
        Reason.REQUIRED,
    ),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_is_refused_for_its_reason(name: str) -> None:
    make, reason = BAD_MESSAGES[name]
    assert reason_of(make()) is reason


GOOD_TOPICS = [
    TOPIC,
    CACHE_TOPIC,
    "origin/a/wis2/ca-eccc-msc/metadata",
    "cache/a/wis2/us-synoptic_data_pbc/metadata/core/weather",
    "cache/a/wis2/de-dwd/data/recommended/atmospheric-composition/experimental/x",
    "origin/a/wis2/de-dwd/reports",
    "cache/a/wis2/de-dwd-gts-to-wis2/data/core/I/S/M/D/01/LFPW",
]


@pytest.mark.parametrize("topic", GOOD_TOPICS)
def test_a_topic_of_the_hierarchy_tells_its_centre(topic: str) -> None:
    assert is_wis2_topic(topic)
    assert centre_of_topic(topic) == topic.split("/")[3]


@pytest.mark.parametrize(
    "topic",
    [
        "monitor/a/wis2/de-dwd/data/core/weather",
        "origin/b/wis2/de-dwd/data/core/weather",
        "origin/a/wis2/de-dwd",
        "origin/a/wis2/dwd/data/core/weather",
        "origin/a/wis2/../data/core/weather",
        "origin/a/wis2/de-dwd/data/secret/weather",
        "origin/a/wis2/DE-dwd/data/core/weather",
        "origin/a/wis2/de-dwd/data/Core/weather",
        "origin/a/wis2/de-dwd/data/core/sea ice",
        "origin/a/wis2/de-dwd/data/core//synop",
        "origin/a/wis2/de-dwd/data/core/weather/",
        "origin/a/wis2/de-dwd/data/core/+",
        "origin/a/wis2/de-dwd/data/core/#",
        "origin/a/wis2/de-dwd/data/core/a\0b",
        "origin/a/wis2/de-dwd/data/core/weather\n",
        "origin/a/wis2/de-dwd/data/core/" + "x" * 1024,
    ],
)
def test_row_34_another_topic_is_refused(topic: str) -> None:
    assert is_wis2_topic(topic)
    assert reason_of(USUAL, topic) is Reason.NAME


def test_no_centre_can_name_another_centres_file() -> None:
    stranger = TOPIC.replace("ca-eccc-msc", "xx-other")
    assert decode(USUAL, stranger).path == f"wis2/xx-other/_/{DATA_ID}"


def test_a_path_that_no_data_id_has_isnt_told_in_wis2() -> None:
    for path in ("data/x", "wis2/x", "wis2/ca-eccc-msc/_/wis2/ca-eccc-msc/x", "wis2/NoCentre/x"):
        with pytest.raises(Refused):
            data_of_path(path)


def test_a_free_data_id_has_no_topic_but_the_one_it_came_under() -> None:
    announcement = decode(changed("properties", "data_id", to="dataset/123/x.bufr4"))
    assert announcement.path == "wis2/ca-eccc-msc/_/dataset/123/x.bufr4"
    assert wis2_topic(announcement, "cache") == CACHE_TOPIC
    assert wis2_topic(replace(announcement, extra={}), "cache") is None


data_ids = st.lists(st.sampled_from(["wis2", "a-b", "a-c", "_", "x", "y"]), min_size=1, max_size=6).map("/".join)
centres = st.sampled_from(["a-b", "a-c"])


@given(centres, data_ids, centres, data_ids)
def test_different_data_have_different_paths_and_a_path_tells_its_data(
    centre: str, data_id: str, other_centre: str, other_data_id: str
) -> None:
    path, other = path_of_data(centre, data_id), path_of_data(other_centre, other_data_id)
    assert (path == other) is ((centre, data_id) == (other_centre, other_data_id))
    assert data_of_path(path) == data_id
    assert path.startswith(f"wis2/{centre}/")


VALUES = [
    "",
    "x",
    "v04",
    "Feature",
    "canonical",
    "2022-03-20T04:45:00Z",
    "2022-13-20T04:45:00Z",
    "sha256",
    "gzip",
    "utf-8",
]
VALUES += [None, True, -1, 5000, 1.5, [], {}, [7], [[[0, 0], [1, 0], [1, 1], [0, 0]]], {"type": "Point"}]
VALUES += [{"href": "http://h/x", "rel": "update"}, {"method": "sha512", "value": HELLO.value}]


def places_in(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return where in a document something can be replaced."""
    steps = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    inner = [place for step in steps for place in places_in(value[step], (*path, step))]  # type: ignore[index]
    return ([path] if path else []) + inner


def altered_messages() -> Iterator[dict[str, Any]]:
    """Yield full messages with one thing in each replaced by one of `VALUES`, or left out."""
    full = changed("properties", "content", to=content_of("hello\n"))
    full["properties"] |= {"cache": True, "producer": "x"}
    for place in [*places_in(full), ("version",), ("properties", "start_datetime"), ("properties", "end_datetime")]:
        for value in [*VALUES, ...]:
            document = copy.deepcopy(full)
            inner: Any = document
            for step in place[:-1]:
                inner = inner[step]
            if value is not ...:
                inner[place[-1]] = value
            elif isinstance(inner, list) or place[-1] in inner:
                del inner[place[-1]]
            yield document


def result_of(document: object) -> Announcement | Reason:
    try:
        return decode(document)
    except Refused as refusal:
        return refusal.reason


# Why a message that satisfies the schema may be refused nevertheless: what it says can't be true, or can't be fetched.
BEYOND_THE_SCHEMA = {Reason.CHECKSUM, Reason.INLINE, Reason.RANGE, Reason.REQUIRED, Reason.URL}


def test_a_message_is_taken_when_it_satisfies_the_schema_and_can_be_true(schema: Draft202012Validator) -> None:
    taken = 0
    for document in altered_messages():
        result = result_of(document)
        if isinstance(result, Announcement):
            taken += 1
            assert list(schema.iter_errors(document)) == []
            assert list(schema.iter_errors(write(result))) == []
        elif result not in BEYOND_THE_SCHEMA:
            assert list(schema.iter_errors(document)) != []
    assert taken > 100


@pytest.mark.slow
def test_no_mutated_message_raises_anything_but_refused() -> None:
    random_ = random.Random(2)
    full = changed("properties", "content", to=content_of(PACKED, "gzip"))
    seeds = [json.dumps(each).encode() for each in (USUAL, full, changed("geometry", to=None))]
    hurts = [b"", b'"', b"{", b"]", b"null", b"1e999", b"../", rb"\ud800", b"7"]
    taken = 0
    for turn in range(100_000):
        payload = seeds[turn % len(seeds)]
        for _ in range(random_.randint(1, 3)):
            at = random_.randrange(len(payload))
            middle = random_.choice([*hurts, random_.randbytes(2)])
            payload = payload[:at] + middle + payload[at + random_.randint(0, 9) :]
        result = result_of(payload)
        if isinstance(result, Announcement):
            assert encode_wis2(result)
            taken += 1
    assert taken > 1000

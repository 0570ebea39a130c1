"""Announcements of the dialect v03 are read in every form that is in the field, and written in one that all read."""

import json
import random
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import MAX_PAYLOAD_BYTES, Reason, Refused
from samesky.mesh.announcement import METHODS, Announcement, Integrity, integrity_of
from samesky.mesh.paths import check_path
from samesky.mesh.v03 import decode_v03, encode_v03

NOW_NS = 1_700_000_000 * 10**9
TIME = "20190120T045018.314854"
TIME_NS = 1_547_959_818_314_854_000
HELLO = integrity_of(b"hello\n")
USUAL = {
    "pubTime": TIME,
    "baseUrl": "https://localhost/data",
    "relPath": "20190120/WIS/CA/CMC/UpperAir/04/UANT01_CWAO_200445___15103.txt",
    "size": 6,
    "integrity": {"method": "sha512", "value": HELLO.value},
}


def encode(fields: object) -> bytes:
    return json.dumps(fields).encode()


def decode(fields: object, **options: int) -> Announcement:
    return decode_v03(fields if isinstance(fields, bytes) else encode(fields), now_ns=NOW_NS, **options)


def reason_of(fields: object, **options: int) -> Reason:
    with pytest.raises(Refused) as caught:
        decode(fields, **options)
    return caught.value.reason


def write(announcement: Announcement) -> dict[str, object]:
    return json.loads(encode_v03(announcement))


def test_the_object_form_is_read() -> None:
    announcement = decode(USUAL)
    assert announcement == Announcement(USUAL["relPath"], TIME_NS, HELLO, 6, "https://localhost/data")
    assert announcement.url == "https://localhost/data/" + USUAL["relPath"]


def test_the_example_of_the_seed_is_read() -> None:
    example = {
        "pubTime": "20190120T045018.314854383",
        "baseUrl": "https://localhost/data",
        "relPath": "20190120/WIS/CA/CMC/UpperAir/04/UANT01_CWAO_200445___15103.txt",
        "size": "TBD",
        "integrity": {"method": "MD5", "value": "d41d8cd98f00b204e9800998ecf8427e"},
        "content": {"encoding": "utf-8", "value": "encoded bytes from the file"},
    }
    announcement = decode(example)
    assert announcement.pub_time == TIME_NS + 383
    assert announcement.integrity == integrity_of(b"", "md5")
    assert announcement.content == b"encoded bytes from the file"
    assert write(announcement)["pubTime"] == example["pubTime"]


def test_the_array_form_of_the_seeds_sample_output_is_read() -> None:
    announcement = decode(
        [
            "20190130033826.740083",
            "http://blacklab:8000/data",
            "/2019013003/GTS/CWAO/SX/SXCN19_CWAO_300300_ac8d831ec7ffe25b3a0bbc3b22fca2c4.txt",
            {"sum": "d,ac8d831ec7ffe25b3a0bbc3b22fca2c4"},
        ]
    )
    assert announcement.path == "2019013003/GTS/CWAO/SX/SXCN19_CWAO_300300_ac8d831ec7ffe25b3a0bbc3b22fca2c4.txt"
    assert announcement.integrity == Integrity("md5", bytes.fromhex("ac8d831ec7ffe25b3a0bbc3b22fca2c4"))
    assert announcement.base_url == "http://blacklab:8000/data"
    assert write(announcement)["pubTime"] == "20190130T033826.740083"
    assert "sum" not in write(announcement)


def test_the_array_form_of_the_seeds_feed_keeps_the_fields_of_sarracenia() -> None:
    headers = {
        "parts": "1,278,1,0,0",
        "atime": "20190123004338.0927228928",
        "mtime": "20190123004338.0927228928",
        "source": "UCAR-UNIDATA",
        "to_clusters": "DDI.CMC,DDSR.CMC",
        "sum": "d,e12080ee6aaf254ab0cd97069be3812b",
        "mode": "664",
    }
    announcement = decode(["20190123004338.097888", "https://hpfx/~pas037/WMO_Sketch/", "/2019012300/KWNB/x", headers])
    assert announcement.size == 278
    assert announcement.extra == {name: headers[name] for name in ("atime", "mtime", "source", "to_clusters", "mode")}
    assert announcement.url == "https://hpfx/~pas037/WMO_Sketch/2019012300/KWNB/x"


@pytest.mark.parametrize(
    ("headers", "operation", "target"),
    [
        ({"sum": "R,0123"}, "remove", ""),
        ({"sum": "m,0123"}, "mkdir", ""),
        ({"sum": "r,0123"}, "rmdir", ""),
        ({"sum": "L,0123", "link": "y"}, "link", "a/y"),
        ({"sum": "0,123"}, "put", ""),
        ({}, "put", ""),
    ],
)
def test_the_sum_of_the_array_form_may_be_an_operation(headers: dict[str, str], operation: str, target: str) -> None:
    announcement = decode(["20190123004338.097888", "http://h/", "/a/x", headers])
    assert (announcement.operation, announcement.target, announcement.integrity) == (operation, target, None)


def test_an_array_may_end_after_the_path() -> None:
    assert decode(["20190123004338.097888", "http://h/", "/a/x"]).path == "a/x"


def test_identity_is_read_as_integrity_and_both_are_written() -> None:
    fields = {**USUAL, "identity": USUAL["integrity"]}
    del fields["integrity"]
    announcement = decode(fields)
    assert announcement == decode(USUAL)
    written = write(announcement)
    assert written["identity"] == written["integrity"] == USUAL["integrity"]


def test_of_two_checksums_the_stronger_one_counts() -> None:
    weak, strong = integrity_of(b"hello\n", "md5"), integrity_of(b"hello\n", "sha3-512")
    told = [{"method": each.method, "value": each.value} for each in (weak, strong)]
    assert decode({**USUAL, "integrity": told[0], "identity": told[1]}).integrity == strong
    assert decode({**USUAL, "integrity": told[1], "identity": told[0]}).integrity == strong
    assert decode({**USUAL, "integrity": {"method": "cod", "value": "sha512"}, "identity": told[0]}).integrity == weak


def test_two_checksums_of_one_method_that_differ_are_a_contradiction() -> None:
    other = {"method": "sha512", "value": integrity_of(b"other").value}
    assert reason_of({**USUAL, "identity": other}) is Reason.CHECKSUM


@pytest.mark.parametrize("method", ["cod", "random", "arbitrary", "link", "remove", "crc32"])
def test_a_method_by_which_content_cant_be_checked_is_as_none(method: str) -> None:
    assert decode({**USUAL, "integrity": {"method": method, "value": "sha512"}}).integrity is None


def test_a_missing_checksum_is_for_the_peer_to_judge() -> None:
    assert decode({name: value for name, value in USUAL.items() if name != "integrity"}).integrity is None


@pytest.mark.parametrize("method", ["sha512", "sha384", "sha256", "sha3-512", "sha3-384", "sha3-256", "md5"])
def test_checksums_are_read_in_base64_and_in_hexadecimal(method: str) -> None:
    integrity = integrity_of(b"hello\n", method)
    for value in (integrity.value, integrity.digest.hex(), integrity.digest.hex().upper()):
        for name in (method, method.upper(), method.replace("-", "_")):
            assert decode({**USUAL, "integrity": {"method": name, "value": value}}).integrity == integrity


@pytest.mark.parametrize(
    "value", ["", "A2KNxvks...S8qfSCw==", "AAAA", HELLO.value[:-1], HELLO.value + "A", "é" * 88, "é" * 128, "g" * 128]
)
def test_a_checksum_that_is_cut_off_or_damaged_is_refused(value: str) -> None:
    assert reason_of({**USUAL, "integrity": {"method": "sha512", "value": value}}) is Reason.CHECKSUM


@pytest.mark.parametrize(
    ("text", "nanoseconds", "written"),
    [
        (TIME, TIME_NS, TIME),
        ("20190120T045018.314854383", TIME_NS + 383, "20190120T045018.314854383"),
        ("20190120T045018.31485438", TIME_NS + 380, "20190120T045018.31485438"),
        ("20190120T045018.314854000", TIME_NS, "20190120T045018.314854000"),
        ("20190120T045018.3", TIME_NS - 14_854_000, "20190120T045018.3"),
        ("20190120T045018", TIME_NS - 314_854_000, "20190120T045018"),
        ("20190120T045018Z", TIME_NS - 314_854_000, "20190120T045018"),
        ("20190120T045018.314854Z", TIME_NS, TIME),
        ("20190120T045018.3Z", TIME_NS - 14_854_000, "20190120T045018.3"),
        ("20190120045018.314854", TIME_NS, TIME),
        ("20190120045018.314854Z", TIME_NS, TIME),
        ("20190120045018.3148540", TIME_NS, "20190120T045018.3148540"),
        ("20190120T045018.31485Z", TIME_NS - 4000, "20190120T045018.31485"),
        ("20190120T045018.31485438312", TIME_NS + 383, "20190120T045018.31485438312"),
        ("20190120T045018e-05", TIME_NS - 314_854_000, "20190120T045018.000000"),
        ("20190120T045018.2e-05", TIME_NS - 314_854_000, "20190120T045018.000000"),
    ],
)
def test_a_publication_time_keeps_its_digits_on_the_way(text: str, nanoseconds: int, written: str) -> None:
    announcement = decode({**USUAL, "pubTime": text})
    assert announcement.pub_time == nanoseconds
    assert write(announcement)["pubTime"] == written
    assert decode(encode_v03(announcement)) == announcement


def test_the_digits_of_another_time_arent_written() -> None:
    announcement = replace(decode({**USUAL, "pubTime": "20190120T045018.3"}), pub_time=TIME_NS)
    assert write(announcement)["pubTime"] == TIME


def test_unknown_fields_travel_along() -> None:
    more = {"mtime": "20190120T045018.1", "source": "CMC", "mode": 0o664, "geometry": {"a": [1.5, None, "ü\n"]}}
    announcement = decode({**USUAL, **more})
    assert announcement.extra == more
    assert {name: value for name, value in write(announcement).items() if name in more} == more


def test_no_extra_field_replaces_one_that_is_proven() -> None:
    announcement = replace(decode(USUAL), extra={"relPath": "../x", "size": -1, "retrievePath": "/etc", "x": 1})
    assert write(announcement) == {**USUAL, "identity": USUAL["integrity"], "x": 1}


def test_what_travels_along_is_left_out_where_nobody_could_read_the_rest() -> None:
    crowded = replace(decode(USUAL), content=b"hello\n", extra={"wis2": {"note": "x" * 8000}})
    assert decode(encode_v03(crowded)) == replace(crowded, extra={})
    assert decode(encode_v03(replace(crowded, extra={"note": "x" * 7000}))).extra == {"note": "x" * 7000}


@pytest.mark.parametrize(
    ("base_url", "retrieve_path", "url"),
    [
        ("http://h/data", "/datagetter?range=1&station=2%203", "http://h/data/datagetter?range=1&station=2%203"),
        ("http://h/data/", "other/x.txt", "http://h/data/other/x.txt"),
        ("http://h/data/", "https://other/x?a=1", "https://other/x?a=1"),
        ("http://h/data", "get?from=http://other/x", "http://h/data/get?from=http://other/x"),
    ],
)
def test_retrieve_path_is_where_the_file_is(base_url: str, retrieve_path: str, url: str) -> None:
    for name in ("retrievePath", "retPath"):
        announcement = decode({**USUAL, "baseUrl": base_url, name: retrieve_path})
        assert announcement.url == url
        assert decode(encode_v03(announcement)).url == url


def test_a_file_elsewhere_below_the_base_keeps_its_base() -> None:
    written = write(decode({**USUAL, "baseUrl": "http://h/data", "retrievePath": "/get?x=1"}))
    assert (written["baseUrl"], written["retrievePath"]) == ("http://h/data", "get?x=1")


def test_a_file_at_another_host_is_told_as_sarracenia_puts_urls_together() -> None:
    written = write(Announcement("a/x", TIME_NS, base_url="http://h/", retrieve="https://other/data/x?a=1"))
    assert (written["baseUrl"], written["retrievePath"]) == ("https://other/", "data/x?a=1")


@pytest.mark.parametrize(
    ("file_op", "operation", "target"),
    [
        ({"directory": ""}, "mkdir", ""),
        ({"remove": ""}, "remove", ""),
        ({"remove": "", "directory": ""}, "rmdir", ""),
        ({"link": "y.txt"}, "link", "a/b/y.txt"),
        ({"link": "../c/y.txt"}, "link", "a/c/y.txt"),
        ({"rename": "a/old.txt"}, "rename", "a/old.txt"),
        ({"rename": "/srv/data/a/old.txt"}, "rename", "a/old.txt"),
        ({"rename": "/home/other/a/old.txt"}, "rename", ""),
        ({"rename": "/srv/database/old.txt"}, "rename", ""),
        ({"hlink": "y.txt"}, "put", ""),
    ],
)
def test_file_operations_of_sarracenia_are_read(file_op: dict[str, str], operation: str, target: str) -> None:
    announcement = decode({**USUAL, "relPath": "a/b/x.txt", "baseUrl": "http://h/srv/data/", "fileOp": file_op})
    assert (announcement.operation, announcement.target) == (operation, target)
    if operation != "put" and target:
        assert decode(encode_v03(announcement)) == announcement


BAD_OPERATIONS = {
    "row 40: a link upwards": ({"link": "../../../etc/passwd"}, Reason.PATH),
    "row 40: a link to the tree's parent": ({"link": "../../.."}, Reason.PATH),
    "row 40: an absolute link": ({"link": "/etc/passwd"}, Reason.PATH),
    "row 40: a link to our own folder": ({"link": "../../.samesky/mesh.sdb"}, Reason.RESERVED),
    "row 40: a link to nothing": ({"link": ""}, Reason.PATH),
    "row 40: a link with NUL": ({"link": "a\0b"}, Reason.PATH),
    "row 40: a rename from above": ({"rename": "../x"}, Reason.PATH),
    "row 40: a rename from above behind the base": ({"rename": "/srv/data/../x"}, Reason.PATH),
    "row 40: a rename from a number": ({"rename": 7}, Reason.TYPE),
    "a renamed directory": ({"rename": "a", "directory": ""}, Reason.VERSION),
    "no operation": ({}, Reason.VERSION),
    "an unknown operation": ({"chmod": "777"}, Reason.VERSION),
    "a text": ("remove", Reason.TYPE),
    "null": (None, Reason.TYPE),
}


@pytest.mark.parametrize("name", BAD_OPERATIONS)
def test_a_file_operation_outside_the_tree_is_refused(name: str) -> None:
    file_op, reason = BAD_OPERATIONS[name]
    fields = {**USUAL, "relPath": "a/b/x.txt", "baseUrl": "http://h/srv/data/", "fileOp": file_op}
    assert reason_of(fields) is reason


def test_a_rename_below_what_is_no_url_is_refused() -> None:
    assert reason_of({**USUAL, "baseUrl": "http://[x/", "fileOp": {"rename": "/a"}}) is Reason.URL


def test_small_content_comes_along_in_either_encoding() -> None:
    for content in (b"hello\n", b"\xff\0\xfe", b"", "Zürich".encode(), b"a\r\nb\0"):
        announcement = replace(decode(USUAL), content=content, size=len(content), integrity=integrity_of(content))
        for encoding in ("text", "binary", "guess"):
            payload = encode_v03(announcement, encoding=encoding)
            assert decode(payload) == announcement
            told = json.loads(payload)["content"]["encoding"]
            assert told == ("base64" if encoding == "binary" or b"\xff" in content else "utf-8")


def test_content_tells_the_size_where_the_announcement_doesnt() -> None:
    assert decode({**USUAL, "size": "TBD", "content": {"encoding": "utf-8", "value": "Zürich"}}).size == 7


def text_of(size: int) -> dict[str, str]:
    return {"encoding": "utf-8", "value": "x" * size}


BAD_CONTENTS = {
    "row 44: over 4 KiB": (text_of(4097), Reason.INLINE),
    "row 44: bad base64": ({"encoding": "base64", "value": "aGVsbG8K!"}, Reason.INLINE),
    "row 44: base64 without its padding": ({"encoding": "base64", "value": "aGVsbG8"}, Reason.INLINE),
    "row 44: base64 in two lines": ({"encoding": "base64", "value": "aGVs\nbG8K"}, Reason.INLINE),
    "row 44: base64 that isn't ASCII": ({"encoding": "base64", "value": "é"}, Reason.INLINE),
    "row 44: shorter than told": (text_of(5), Reason.INLINE),
    "row 44: longer than told": (text_of(7), Reason.INLINE),
    "an unknown encoding": ({"encoding": "utf-7", "value": "hello+"}, Reason.INLINE),
    "no encoding": ({"value": "hello\n"}, Reason.INLINE),
    "no value": ({"encoding": "utf-8"}, Reason.INLINE),
    "a number": ({"encoding": "utf-8", "value": 123456}, Reason.INLINE),
    "a text": ("hello\n", Reason.INLINE),
    "null": (None, Reason.INLINE),
}


@pytest.mark.parametrize("name", BAD_CONTENTS)
def test_bad_inline_content_is_refused(name: str) -> None:
    content, reason = BAD_CONTENTS[name]
    assert reason_of({**USUAL, "content": content}) is reason


def test_the_user_may_allow_more_inline_content() -> None:
    content = {"encoding": "base64", "value": b64encode(b"x" * 100_000).decode()}
    fields = {**USUAL, "size": 100_000, "content": content}
    assert reason_of(fields) is Reason.SIZE
    assert decode(fields, inline_max_bytes=100_000).content == b"x" * 100_000
    assert reason_of({**fields, "x": "y" * 8000}, inline_max_bytes=99_999) is Reason.INLINE


def test_an_announcement_may_have_8_kib_beside_its_content() -> None:
    for content in ({}, {"content": text_of(6)}):
        room = 8192 - len(encode({**USUAL, **content, "x": ""})) + 6 * len(content) * 6
        assert decode({**USUAL, **content, "x": "y" * room}).path == USUAL["relPath"]
        assert reason_of({**USUAL, **content, "x": "y" * (room + 1)}) is Reason.SIZE


def test_letters_of_all_languages_are_written_as_they_are() -> None:
    payload = encode_v03(replace(decode(USUAL), path="Zürich/天気.txt"))
    assert "Zürich/天気.txt".encode() in payload


def test_escaped_content_doesnt_count_for_the_size_of_the_announcement() -> None:
    content = b"\1" * 4096
    announcement = replace(decode(USUAL), content=content, size=4096, integrity=integrity_of(content))
    payload = encode_v03(announcement)
    assert len(payload) > 24_000
    assert decode(payload) == announcement


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def usual_with(name: str, value: bytes) -> bytes:
    return encode(USUAL)[:-1] + f', "{name}": '.encode() + value + b"}"


BAD_PAYLOADS = {
    "row 1: nothing": (b"", Reason.EMPTY),
    "row 2: Latin-1": ('{"relPath": "Zürich"}'.encode("latin-1"), Reason.ENCODING),
    "row 2: UTF-16": (json.dumps(USUAL).encode("utf-16"), Reason.ENCODING),
    "row 2: half a surrogate pair": (usual_with("x", rb'"\ud800"'), Reason.ENCODING),
    "row 2: half a surrogate pair far inside": (usual_with("x", rb'[{"\ud800": 1}]'), Reason.ENCODING),
    "row 3: cut short": (encode(USUAL)[:-9], Reason.JSON),
    "row 4: a number": (b"7", Reason.SHAPE),
    "row 4: an empty array": (b"[]", Reason.SHAPE),
    "row 4: an array of two": (encode(["20190123004338.097888", "http://h/"]), Reason.SHAPE),
    "row 4: an array of five": (encode([TIME, "http://h/", "a", {}, 1]), Reason.SHAPE),
    "row 4: an array with a text for headers": (encode([TIME, "http://h/", "a", "b"]), Reason.SHAPE),
    "row 5: 100,000 arrays": (nested(100_000), Reason.SIZE),
    "row 5: 4,000 arrays": (usual_with("x", nested(4000)), Reason.DEPTH),
    "row 5: 100 arrays in an unknown field": (usual_with("x", nested(100)), Reason.DEPTH),
    "row 5: 100 arrays in a known field": (usual_with("identity", nested(100)), Reason.TYPE),
    "row 6: NaN": (usual_with("x", b"NaN"), Reason.NONFINITE),
    "row 6: Infinity as a size": (usual_with("x", b"-Infinity"), Reason.NONFINITE),
    "row 6: 1e999": (usual_with("x", b"1e999"), Reason.NONFINITE),
    "row 6: 1e999 far inside": (usual_with("x", b'[{"a": 1e999}]'), Reason.NONFINITE),
    "row 7: a key twice": (usual_with("size", b"6"), Reason.DUPKEY),
    "row 7: a key twice inside": (usual_with("x", b'{"a": 1, "a": 2}'), Reason.DUPKEY),
    "row 8: 5,000 digits": (usual_with("x", b"9" * 5000), Reason.RANGE),
    "row 8: 2^63": (usual_with("x", b"9223372036854775808"), Reason.RANGE),
    "row 8: a size of 2^63": ({**USUAL, "size": 1 << 63}, Reason.RANGE),
    "row 9: more than 8 KiB": ({**USUAL, "x": "y" * 8192}, Reason.SIZE),
    "row 9: more than 1 MiB": ({**USUAL, "x": "y" * MAX_PAYLOAD_BYTES}, Reason.SIZE),
    "row 9: more than 8 KiB beside content": (
        {**USUAL, "size": 1, "content": text_of(1), "x": "y" * 9000},
        Reason.SIZE,
    ),
    "row 14: a text as size": ({**USUAL, "size": "six"}, Reason.TYPE),
    "row 14: a bool as size": ({**USUAL, "size": True}, Reason.TYPE),
    "row 14: a float as size": ({**USUAL, "size": 6.0}, Reason.TYPE),
    "row 14: an infinite size": (encode(USUAL).replace(b'"size": 6', b'"size": 1e999'), Reason.TYPE),
    "row 14: an array as size": ({**USUAL, "size": []}, Reason.TYPE),
    "row 14: a number as relPath": ({**USUAL, "relPath": 7}, Reason.TYPE),
    "row 14: a number as pubTime": ({**USUAL, "pubTime": 20190120}, Reason.TYPE),
    "row 14: a number as baseUrl": ({**USUAL, "baseUrl": 7}, Reason.TYPE),
    "row 14: an array as retrievePath": ({**USUAL, "retrievePath": []}, Reason.TYPE),
    "row 14: a text as integrity": ({**USUAL, "integrity": "d,ac8d"}, Reason.TYPE),
    "row 14: a number as method": ({**USUAL, "integrity": {"method": 5, "value": ""}}, Reason.TYPE),
    "row 14: a number as checksum": ({**USUAL, "integrity": {"method": "md5", "value": 7}}, Reason.TYPE),
    "row 14: an object as identity": ({**USUAL, "identity": {"method": {}, "value": []}}, Reason.TYPE),
    "a negative size": ({**USUAL, "size": -1}, Reason.RANGE),
    "a size of superscripts": ({**USUAL, "size": "²"}, Reason.TYPE),
    "row 15: no relPath": ({**USUAL, "relPath": None}, Reason.REQUIRED),
    "row 15: an empty relPath": ({**USUAL, "relPath": "/"}, Reason.REQUIRED),
    "row 15: no pubTime": ({**USUAL, "pubTime": None}, Reason.REQUIRED),
    "row 15: nothing at all": ({}, Reason.REQUIRED),
    "row 16: in two hours": ({**USUAL, "pubTime": "20231115T001320"}, Reason.FUTURE),
    "row 16: in the year 9999": ({**USUAL, "pubTime": "99991231T235959"}, Reason.FUTURE),
    "row 17: 1970": ({**USUAL, "pubTime": "19700101T000000.0"}, Reason.PAST),
    "row 17: the year 1": ({**USUAL, "pubTime": "00010101T000000.0"}, Reason.PAST),
    "row 17: seconds since 1970": ({**USUAL, "pubTime": "1547959818.314854"}, Reason.RANGE),
    "the 30th of February": ({**USUAL, "pubTime": "20190230T000000.0"}, Reason.RANGE),
    "the year 0": ({**USUAL, "pubTime": "00000101T000000.0"}, Reason.RANGE),
    "an hour 24": ({**USUAL, "pubTime": "20190120T240000.0"}, Reason.RANGE),
    "a time of WIS2": ({**USUAL, "pubTime": "2019-01-20T04:50:18Z"}, Reason.RANGE),
    "a time with foreign digits": ({**USUAL, "pubTime": "２０190120T045018.0"}, Reason.RANGE),
    "a time and a newline": ({**USUAL, "pubTime": TIME + "\n"}, Reason.RANGE),
    "row 35: upwards": ({**USUAL, "relPath": "../x"}, Reason.PATH),
    "row 35: upwards behind a slash": ({**USUAL, "relPath": "/../x"}, Reason.PATH),
    "row 35: two slashes": ({**USUAL, "relPath": "//etc/x"}, Reason.PATH),
    "row 37: NUL": ({**USUAL, "relPath": "a\0b"}, Reason.PATH),
    "row 38: .git": ({**USUAL, "relPath": "/.git/config"}, Reason.RESERVED),
    "row 41: a URL with a newline": ({**USUAL, "baseUrl": "http://h/\r\nX: y"}, Reason.URL),
    "row 41: a URL with a space": ({**USUAL, "baseUrl": "http://h/ x"}, Reason.URL),
    "row 41: a URL with a backslash": ({**USUAL, "baseUrl": "http://h\\x"}, Reason.URL),
    "row 41: a URL of 5,000 characters": ({**USUAL, "baseUrl": "http://h/" + "x" * 5000}, Reason.URL),
    "row 41: a path to retrieve with a newline": ({**USUAL, "retrievePath": "a\nb"}, Reason.URL),
    "a file in blocks": ({**USUAL, "blocks": {"method": "inplace"}}, Reason.VERSION),
    "a file in parts": (["20190123004338.09", "http://h/", "a", {"parts": "i,100,2,0,0"}], Reason.VERSION),
    "parts without a size": (["20190123004338.09", "http://h/", "a", {"parts": "1"}], Reason.TYPE),
    "parts that are a number": (["20190123004338.09", "http://h/", "a", {"parts": 1}], Reason.TYPE),
}


@pytest.mark.parametrize("name", BAD_PAYLOADS)
def test_a_bad_announcement_is_refused_for_its_reason(name: str) -> None:
    fields, reason = BAD_PAYLOADS[name]
    assert reason_of(fields) is reason


def test_percent_sequences_in_a_path_are_characters() -> None:
    announcement = decode({**USUAL, "relPath": "%2e%2e/x"})
    assert announcement.path == "%2e%2e/x"
    assert announcement.url == "https://localhost/data/%252e%252e/x"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
KNOWN = ["pubTime", "baseUrl", "relPath", "size", "integrity", "identity", "content", "fileOp", "retrievePath"]
KNOWN += ["retPath", "parts", "blocks"]
paths = st.lists(st.text("abcXYZ019_-+#%äé天 .", min_size=1, max_size=8), min_size=1, max_size=5)


@st.composite
def announcements(draw: st.DrawFn) -> Announcement:
    path = "/".join("p" + part + "q" for part in draw(paths))
    content = draw(st.none() | st.binary(max_size=200))
    size = draw(st.none() | st.integers(0, 1 << 40)) if content is None else len(content)
    return Announcement(
        path=check_path(path),
        pub_time=draw(st.integers(31_536_000 * 10**9, NOW_NS)),
        integrity=draw(st.none() | st.sampled_from([integrity_of(b"x", method) for method in METHODS])),
        size=size,
        base_url=draw(st.sampled_from(["", "http://h", "https://h:8000/data/"])),
        content=content,
        operation=draw(st.sampled_from(["put", "remove", "mkdir", "rmdir"])),
        extra=draw(st.dictionaries(texts.filter(lambda name: name not in KNOWN), values, max_size=4)),
    )


@given(announcements(), st.sampled_from(["text", "binary", "guess"]))
def test_what_is_written_is_read_as_the_same(announcement: Announcement, encoding: str) -> None:
    payload = encode_v03(announcement, encoding=encoding)
    assert decode(payload) == announcement
    assert encode_v03(decode(payload), encoding=encoding) == payload


def mutated(payload: bytes, random_: random.Random) -> bytes:
    """Return ``payload`` with a few bytes flipped, cut out, doubled, or replaced by what may hurt."""
    for _ in range(random_.randint(1, 4)):
        at, end = sorted(random_.choices(range(len(payload) + 1), k=2))
        end = min(end, at + 12)
        hurts = [b"", b'"', b"{", b"]", b"null", b"1e999", b"../", rb"\ud800", payload[at:end] * 2]
        middle = random_.choice([*hurts, random_.randbytes(end - at)])
        payload = payload[:at] + middle + payload[end:]
    return payload


@pytest.mark.slow
def test_no_mutated_payload_raises_anything_but_refused() -> None:
    random_ = random.Random(4)
    inline = replace(decode(USUAL), content=b"hello\n", extra={"mode": 664, "a": [1.5, {"b": None}]})
    seeds = [
        encode(USUAL),
        encode_v03(inline, encoding="binary"),
        encode({**USUAL, "fileOp": {"rename": "/data/a/old.txt"}, "retrievePath": "a?b=c", "mode": "664"}),
        encode(["20190123004338.097888", "http://h/", "/a/x", {"sum": "L,ac8d", "link": "../y", "parts": "1,2,1,0,0"}]),
    ]
    taken = 0
    for turn in range(100_000):
        try:
            taken += bool(decode(mutated(seeds[turn % len(seeds)], random_)))
        except Refused:
            continue
    assert taken > 1000  # the mutations aren't so wild that they test the JSON parser alone


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", "/", "é", '"', "\\", "a b", "../x", "-x"]
)


@given(
    path=st.lists(TEXTS, min_size=1, max_size=4).map("/".join),
    base_url=st.sampled_from(["http://here/", "https://x:8080/a%20b", "", 'http://"/', "http://é/", "h" * 5000]),
    size=st.integers(-1, 1 << 66),
    time=st.sampled_from(
        ["20231114T221300.123456", "20231114T221300.123456789", "20231114T221300", "20991114T221300.1"]
    ),
    method=st.sampled_from([*METHODS, "cod", "sha999"]),
    value=st.sampled_from(["", "AAAA", b64encode(bytes(64)).decode(), b64encode(bytes(16)).decode(), "zz" * 64]),
)
def test_the_usual_announcement_is_read_as_the_same_in_any_order_of_its_fields(
    path: str, base_url: str, size: int, time: str, method: str, value: str
) -> None:
    checksum = {"method": method, "value": value}
    usual: dict[str, object] = {"pubTime": time, "baseUrl": base_url, "relPath": path, "size": size}
    usual |= {"integrity": checksum, "identity": checksum}

    def read(fields: dict[str, object]) -> object:
        payload = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            return decode_v03(payload, now_ns=NOW_NS)
        except Refused as refusal:
            return refusal.reason

    assert read(usual) == read(dict(reversed(usual.items())))
    del usual["identity"]
    assert read(usual) == read(dict(reversed(usual.items())))


@given(TEXTS, TEXTS, st.integers(0, 1 << 62), st.integers(31_536_000 * 10**9, NOW_NS), st.binary(max_size=20))
def test_the_usual_announcement_is_written_as_json_is(
    path: str, base_url: str, size: int, pub_time: int, content: bytes
) -> None:
    payload = encode_v03(Announcement(path, pub_time, integrity_of(content), size, base_url))
    fields = json.loads(payload)
    assert json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() == payload
    assert (fields["relPath"], fields["baseUrl"], fields["size"]) == (path, base_url, size)
    assert list(fields) == ["pubTime", "baseUrl", "relPath", "size", "integrity", "identity"]

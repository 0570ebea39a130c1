"""A path names the same file inside the tree on every peer, or it is refused; topics follow from paths."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.errors import ConfigError
from samesky.mesh.paths import MAX_PARTS, check_path, subtopic_filter, topic_of

GOOD_PATHS = [
    "hello.txt",
    "20190120/WIS/CA/CMC/UpperAir/04/UANT01_CWAO_200445___15103.txt",
    "2019013003/GTS/CWAO/SX/SXCN19_CWAO_300300_ac8d831ec7ffe25b3a0bbc3b22fca2c4.txt",
    "wis2/int-eumetsat/data/EO:EUM:DAT:MSG:HRSEVIRI-MSG3-SEVI-MSG15-0100-NA-20240122075742.471000000Z-NA",
    "a b/c d.txt",
    "Zürich/天気.txt",
    "50%/a+b/#1/%2e%2e/x",
    "CMC/CON1/nullsoft/Console/common/AUXILIARY.txt",
    "a..b/c.d..e",
    "x" * 255,
    "ü" * 127 + "x",
    "/".join(["ü"] * MAX_PARTS),
    "/".join(["ü" * 127] * 4) + "/wxyz",
    "/".join(["d" * 5] * 100),
    "/".join(["d" * 254] * 4),
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_a_usual_path_stays_as_it_is(path: str) -> None:
    assert check_path(path) == path


BAD_PATHS = {
    "row 35: upwards": ("../x", Reason.PATH),
    "row 35: absolute": ("/etc/x", Reason.PATH),
    "row 35: upwards in the middle": ("a/../../x", Reason.PATH),
    "row 35: upwards at the end": ("a/..", Reason.PATH),
    "row 35: backslashes": ("..\\x", Reason.PATH),
    "row 35: a backslash in a name": ("a\\b", Reason.PATH),
    "row 35: a drive and a backslash": ("C:\\x", Reason.PATH),
    "an empty part": ("a//b", Reason.PATH),
    "a slash at the end": ("a/", Reason.PATH),
    "only a slash": ("/", Reason.PATH),
    "a dot as a part": ("a/./b", Reason.PATH),
    "nothing": ("", Reason.REQUIRED),
    "a number": (7, Reason.TYPE),
    "none": (None, Reason.TYPE),
    "row 37: a part of 300 bytes": ("a" * 300, Reason.PATH),
    "row 37: a part of 256 bytes": ("a/" + "b" * 256, Reason.PATH),
    "row 37: a part of 256 bytes in 128 characters": ("ü" * 128, Reason.PATH),
    "row 37: 1,500 parts": ("/".join("a" * 1500), Reason.PATH),
    "row 37: 101 parts": ("/".join("a" * (MAX_PARTS + 1)), Reason.PATH),
    "row 37: 1,025 bytes": ("/".join(["d" * 204] * 5) + "x", Reason.PATH),
    "row 37: NUL": ("a\0b", Reason.PATH),
    "row 37: a newline": ("a\nb", Reason.PATH),
    "row 37: a newline at the end": ("a.txt\n", Reason.PATH),
    "row 37: delete": ("a\x7fb", Reason.PATH),
    "row 37: a C1 control": ("a\x85b", Reason.PATH),
    "row 37: a line separator": ("a\u2028b", Reason.PATH),
    "row 37: bidi override": ("a\u202etxt.exe", Reason.PATH),
    "row 37: bidi isolate": ("a\u2066b", Reason.PATH),
    "row 37: a byte order mark": ("\ufeffa", Reason.PATH),
    "row 37: no character": ("a\uffff", Reason.PATH),
    "row 37: the first of 32 that aren't": ("a\ufdd0", Reason.PATH),
    "row 37: the last of them": ("a\ufdef", Reason.PATH),
    "row 37: no character of another plane": ("a\U0001fffe", Reason.PATH),
    "row 37: 101 parts of Unicode": ("/".join(["ü"] * (MAX_PARTS + 1)), Reason.PATH),
    "row 37: 1,025 bytes of Unicode": ("/".join(["ü" * 127] * 4) + "/vwxyz", Reason.PATH),
    "row 37: half a surrogate pair": ("a\ud800", Reason.PATH),
    "row 37: NFD": (unicodedata.normalize("NFD", "Zürich"), Reason.PATH),
    "row 37: a dot behind": ("a./b", Reason.PATH),
    "row 37: a dot at the end": ("a.", Reason.PATH),
    "row 37: a space behind": ("a /b", Reason.PATH),
    "row 37: CON": ("a/CON/b", Reason.PATH),
    "row 37: con with an extension": ("con.tar.gz", Reason.PATH),
    "row 37: lpt1": ("lpt1.txt", Reason.PATH),
    "row 37: COM with a superscript": ("COM¹", Reason.PATH),
    "row 37: CONIN$": ("CONIN$", Reason.PATH),
    "row 38: .git": (".git/config", Reason.RESERVED),
    "row 38: .part": ("a/.part", Reason.RESERVED),
    "row 38: our own folder": (".samesky/mesh.sdb", Reason.RESERVED),
    "row 38: a dash": ("-rf", Reason.RESERVED),
    "row 38: a dash in the middle": ("a/--help/b", Reason.RESERVED),
    "three dots": ("...", Reason.RESERVED),
}


@pytest.mark.parametrize("name", BAD_PATHS)
def test_a_bad_path_is_refused_for_its_reason(name: str) -> None:
    path, reason = BAD_PATHS[name]
    with pytest.raises(Refused) as caught:
        check_path(path)
    assert caught.value.reason is reason
    assert not path or not isinstance(path, str) or len(path) < 3 or path not in str(caught.value)


@given(st.text(st.characters(), max_size=40) | st.text("a./\\ -é~\u0301CONcon1%", max_size=12))
def test_what_is_accepted_stays_inside_the_tree_and_is_one_name(text: str) -> None:
    try:
        path = check_path(text)
    except Refused:
        return
    parts = path.split("/")
    assert path == text
    assert path == unicodedata.normalize("NFC", path)
    assert all(part and part[0] not in ".-" and part[-1] not in ". " and len(part.encode()) <= 255 for part in parts)
    assert not any(unicodedata.category(character) == "Cc" for character in path)


def test_the_topic_has_the_directories_behind_the_right_slash() -> None:
    path = "2019013003/GTS/CWAO/SX/SXCN19_CWAO_300300.txt"
    assert topic_of("xpublic", path) == "xpublic/v03/post/2019013003/GTS/CWAO/SX"


def test_a_file_at_the_root_is_announced_where_a_subscription_to_everything_sees_it() -> None:
    assert topic_of("xpublic", "hello.txt") == "xpublic/v03/post"  # '#' also matches the level above it (MQTT 4.7.1.2)


def test_wildcards_in_a_directory_are_percent_encoded_in_the_topic() -> None:
    assert topic_of("xpublic", "a+b/#1/50%/x+#%.txt") == "xpublic/v03/post/a%2Bb/%231/50%25"


@given(st.lists(st.text("ab+#%21350", min_size=1, max_size=4), min_size=2, max_size=4))
def test_different_directories_have_different_topics_without_wildcards(parts: list[str]) -> None:
    topic = topic_of("x", "/".join(parts))
    assert "+" not in topic
    assert "#" not in topic
    decoded = topic.replace("%2B", "+").replace("%23", "#").replace("%25", "%")
    assert decoded == "x/v03/post/" + "/".join(parts[:-1])


def test_the_longest_path_makes_a_topic_that_mqtt_takes() -> None:
    path = check_path("/".join(["#" * 203] * 5))
    assert len(topic_of("xpublic", path).encode()) < 65_536


@pytest.mark.parametrize("subtopic", ["#", "+/GTS/+/IU/#", "2019/GTS", "+", "a%2Bb/#"])
def test_a_subtopic_is_put_behind_exchange_and_version(subtopic: str) -> None:
    assert subtopic_filter("xpublic", subtopic) == f"xpublic/v03/post/{subtopic}"


def test_slashes_around_a_subtopic_are_left_out() -> None:
    assert subtopic_filter("xpublic", "/a/#/") == "xpublic/v03/post/a/#"


@pytest.mark.parametrize("subtopic", ["", "a//b", "a#", "#/a", "a+/b", "a/+b", "##", "a\0b"])
def test_a_subtopic_with_a_misplaced_wildcard_is_a_mistake_of_the_user(subtopic: str) -> None:
    with pytest.raises(ConfigError, match="is no subtopic"):
        subtopic_filter("xpublic", subtopic)

"""Which directories a subtopic means."""

import pytest

from samesky.mesh.subtopics import Subtopics


@pytest.mark.parametrize(
    ("subtopics", "path", "taken"),
    [
        ([], "a.txt", True),
        (["#"], "a.txt", True),
        (["#"], "20190130/GTS/CWAO/a.txt", True),
        (["+/GTS/+/IU/#"], "2019013003/GTS/KWNB/IU/a.bufr", True),
        (["+/GTS/+/IU/#"], "2019013003/GTS/KWNB/IU/deeper/a.bufr", True),
        (["+/GTS/+/IU/#"], "2019013003/GTS/KWNB/IS/a.bufr", False),
        (["+/GTS/+/IU/#", "+/GTS/+/IS/#"], "2019013003/GTS/KWNB/IS/a.bufr", True),
        (["+/GTS"], "2019013003/GTS/a.bufr", True),
        (["+/GTS"], "2019013003/GTS/KWNB/a.bufr", False),
        (["+/GTS"], "2019013003/a.bufr", False),
        (["c%2B%2B/#"], "c++/a.h", True),
    ],
)
def test_a_file_is_meant_when_a_broker_would_send_its_announcement(
    subtopics: list[str], path: str, taken: bool
) -> None:
    assert Subtopics(subtopics).takes(path) is taken


@pytest.mark.parametrize(
    ("directory", "covered"),
    [
        ("", True),
        ("2019013003", True),
        ("2019013003/GTS", True),
        ("2019013003/RADAR", False),
        ("2019013003/GTS/KWNB/IU/deep", True),
        ("2019013003/GTS/KWNB/IS", False),
    ],
)
def test_a_directory_is_covered_when_what_is_meant_may_be_below_it(directory: str, covered: bool) -> None:
    assert Subtopics(["+/GTS/+/IU/#"]).covers(directory) is covered

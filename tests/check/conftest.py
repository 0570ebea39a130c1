"""What the tests of `samesky check` share: a weewx.conf without a mistake, to be spoilt in one place."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from samesky.check import Report, check_file
from samesky.demo.year import write_year

Spoil = Sequence[tuple[str, str]]

WEEWX_CONF = """
WEEWX_ROOT = {root}
[Station]
    station_type = MQTTReplicate
[MQTTReplicate]
    driver = samesky.station.weewx_driver
    host = localhost
    port = {port}
    [[Responder]]
        enable = true
        [[[home]]]
            [[[[wx_binding]]]]
                type = main
    [[Requester]]
        client_id = copy
        [[[away]]]
            [[[[wx_binding]]]]
                type = main
[StdConvert]
    target_unit = US
[StdCalibrate]
    [[Corrections]]
        foo = foo + 0.2
[StdQC]
    [[MinMax]]
        outTemp = -40, 120, degree_F
[StdArchive]
    archive_interval = 300
    record_generation = hardware
    data_binding = wx_binding
[DataBindings]
    [[wx_binding]]
        database = archive_sqlite
[Databases]
    [[archive_sqlite]]
        database_name = weewx.sdb
        database_type = SQLite
[DatabaseTypes]
    [[SQLite]]
        driver = weedb.sqlite
        SQLITE_ROOT = archive
[Engine]
    [[Services]]
        process_services = weewx.engine.StdConvert, weewx.engine.StdCalibrate, weewx.engine.StdQC
        archive_services = weewx.engine.StdArchive
        restful_services = samesky.station.weewx_service.MQTTReplicateResponder
[Logging]
    [[formatters]]
        [[[standard]]]
            format = "%(asctime)s %(message)s"
"""

Check = Callable[..., Report]


def find(report: Report, severity: str, *words: str) -> list[str]:
    """The findings of a severity that hold all of ``words``, as text."""
    texts = [str(each) for each in report.findings if each.severity == severity]
    return [text for text in texts if all(word in text for word in words)]


@pytest.fixture
def make_conf(tmp_path: Path) -> Callable[..., Path]:
    """Write a weewx.conf: ``make_conf((old, new), …, port=1883)``; each ``old`` must be there."""

    def make(*spoils: tuple[str, str], port: int = 1883) -> Path:
        text = WEEWX_CONF.format(root=tmp_path, port=port)
        for old, new in spoils:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "weewx.conf"
        path.write_text(text.replace("{tmp_path}", str(tmp_path)))
        path.chmod(0o640)
        return path

    return make


@pytest.fixture
def check_conf(make_conf: Callable[..., Path]) -> Check:
    """Write a spoilt weewx.conf and check it."""
    return lambda *spoils: check_file(make_conf(*spoils))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The database of that weewx.conf: a day of records, up to an hour ago."""
    path = tmp_path / "archive" / "weewx.sdb"
    path.parent.mkdir()
    write_year(path, count=288, end_time=int(time.time()) - 3600)
    return path

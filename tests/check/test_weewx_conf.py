"""`samesky check` on a weewx.conf: each mistake is named with its section and key, and with what to write."""

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from samesky.check import check_file, databases
from samesky.errors import SetupError

from .conftest import Check, find

RESPONDER, REQUESTER = "[MQTTReplicate] [[Responder]]", "[MQTTReplicate] [[Requester]]"
SERVICE = "samesky.station.weewx_service.MQTTReplicateResponder"
PLAIN_SERVICES = f"restful_services = {SERVICE}"
COPY_ONLY = ("enable = true", "enable = false")
CLIENT = "client_id = copy"


def test_a_configuration_without_a_mistake_has_a_line_for_each_thing_checked(check_conf: Check, database: Path) -> None:
    report = check_conf()
    assert [str(each) for each in report.findings if each.severity != "info"] == []
    assert (report.ok, report.exit_status) == (True, 0)
    for words in (
        (RESPONDER, "a primary: instance home, bindings wx_binding"),
        (REQUESTER, "a copy: follows away/wx_binding", "as copy"),
        ("[Engine] [[Services]]", "after StdArchive"),
        ("[Station]", "driver = samesky.station.weewx_driver"),
        (str(database), "units US", "newest record 20"),
        ("installation", "paho-mqtt"),
        ("installation", "SQLite"),
        ("disk", "MiB free"),
    ):
        assert find(report, "info", *words), words


@pytest.mark.parametrize(
    ("spoil", "where", "words"),
    [
        # the stanza
        (("port = 1883", "port = 99999"), RESPONDER, ("port = '99999'", "1 to 65535")),
        (("port = 1883", "port = 99999"), REQUESTER, ("port = '99999'",)),
        (("type = main", "type = mian"), RESPONDER, ("type = 'mian'", "main or secondary")),
        ((CLIENT, "client_id = a/b"), REQUESTER, ("client_id 'a/b'",)),
        ((CLIENT, "main = enigne"), REQUESTER, ("main = 'enigne'", "engine or direct")),
        ((CLIENT, "keepalive = soon"), REQUESTER, ("keepalive = 'soon'",)),
        ((CLIENT, "password = x"), REQUESTER, ("a password is set, but no username",)),
        ((CLIENT, "username = u\npassword = x\npassword_file = {tmp_path}/weewx.conf"), REQUESTER, ("keep one",)),
        ((CLIENT, "password_file = /nowhere"), REQUESTER, ("password_file = /nowhere can't be read",)),
        ((CLIENT, "ca_file = /nowhere"), REQUESTER, ("ca_file = '/nowhere'", "path of a file")),
        ((CLIENT, "ca_file = {tmp_path}/weewx.conf"), REQUESTER, ("ca_file", "PEM")),
        ((CLIENT, "tls = false\nca_file = {tmp_path}/weewx.conf"), REQUESTER, ("tls = false",)),
        ((CLIENT, 'archive_topic = "replicate/#"'), REQUESTER, ("archive_topic", "wildcard", "plain topic")),
        ((CLIENT, "archive_topic = replicate/loop"), REQUESTER, ("loop_topic and archive_topic are both",)),
        ((CLIENT, "request_topic = /replicate"), REQUESTER, ("request_topic = '/replicate'", "leave that out")),
        (
            ("        [[[away]]]\n            [[[[wx_binding]]]]\n                type = main", ""),
            REQUESTER,
            ("no instance",),
        ),
        (("[[[home]]]", "[[[h+me]]]"), RESPONDER, ("'h+me'", "MQTT topic")),
        (("host = localhost", "username = a,b"), "[MQTTReplicate]", ('write username = "…, …"',)),
        (("host = localhost", "host = a,b"), "[MQTTReplicate]", ('write host = "a, b"',)),
        (("host = localhost", "host = %(nothing)s"), "[MQTTReplicate]", ("host", "stands for another option")),
        # the rest of weewx.conf
        ((PLAIN_SERVICES, "restful_services = ,"), "[Engine] [[Services]]", (f"append {SERVICE} to restful_services",)),
        (
            (PLAIN_SERVICES, "restful_services = user.mqttreplicate.MQTTReplicateResponder"),
            "[Engine] [[Services]]",
            (SERVICE, "in place of user.mqttreplicate.MQTTReplicateResponder"),
        ),
        (
            (PLAIN_SERVICES, f"{PLAIN_SERVICES}, user.mqttreplicate.MQTTReplicateResponder"),
            "[Engine] [[Services]]",
            ("would answer beside",),
        ),
        ((PLAIN_SERVICES, f"{PLAIN_SERVICES}, {SERVICE}"), "[Engine] [[Services]]", ("listed 2 times",)),
        (("weewx.engine.StdQC", SERVICE), "[Engine] [[Services]]", ("listed 2 times",)),
        (
            (PLAIN_SERVICES, f"prep_services = {SERVICE}"),
            "[Engine] [[Services]]",
            ("before StdArchive", "end of restful_services"),
        ),
        (
            (PLAIN_SERVICES, f"restful_services = user.{SERVICE}"),
            "[Engine] [[Services]]",
            ("isn't installed", "weectl"),
        ),
        (("driver = samesky.station.weewx_driver", ""), "[MQTTReplicate]", ("driver is missing", "write driver = ")),
        (
            ("driver = samesky.station.weewx_driver", "driver = user.mqttreplicate"),
            "[MQTTReplicate]",
            ("user.mqttreplicate is another program's", "write driver = samesky.station.weewx_driver"),
        ),
        (
            ("driver = samesky.", "driver = user.samesky."),
            "[MQTTReplicate]",
            ("user.samesky.station.weewx_driver isn't installed", "weectl extension install"),
        ),
        (("data_binding = wx_binding", "data_binding = other"), REQUESTER, ("main is wx_binding", "into other")),
        (("data_binding = wx_binding", "data_binding = other"), RESPONDER, ("main is wx_binding", "into other")),
        (("= hardware", "= software"), "[StdArchive]", ("record_generation = hardware",)),
        (("target_unit = US", "target_unit = IMPERIAL"), "[StdConvert]", ("US, METRIC, METRICWX",)),
        (
            ("[[wx_binding]]\n        database", "[[xw]]\n        database"),
            "[DataBindings]",
            ("no binding wx_binding",),
        ),
        (("= weedb.sqlite", "= weedb.sqlight"), "[Databases] [[archive_sqlite]]", ("weedb.sqlite or weedb.mysql",)),
        (("[Station]", "[Station\n[Station]"), "line 3", ("can't be understood",)),
    ],
    ids=lambda value: value[1].replace("\n", " ")[:50] if isinstance(value, tuple) and len(value) == 2 else "",
)
def test_a_mistake_is_an_error_with_its_place_and_what_to_write(
    check_conf: Check, database: Path, spoil: tuple[str, str], where: str, words: tuple[str, ...]
) -> None:
    report = check_conf(spoil)
    assert find(report, "error", where, *words), report.lines()
    assert report.exit_status == 2


@pytest.mark.parametrize(
    ("spoil", "where", "words"),
    [
        ((CLIENT, "hots = localhost"), REQUESTER, ("hots is no option", "did you mean host?")),
        (("enable = true", "maxresponder_threads = 1"), RESPONDER, ("did you mean max_responder_threads?",)),
        (("host = localhost", "prot = 1"), "[MQTTReplicate]", ("did you mean port?",)),
        (("    [[Requester]]", "[[Requestor]]\n[[Requester]]"), "[MQTTReplicate]", ("did you mean [[Requester]]?",)),
        (("foo = foo + 0.2", "outTemp = outTemp - 0.5"), "[StdCalibrate] [[Corrections]]", ("outTemp", "remove")),
        (("foo = foo + 0.2", "outTemp = outTemp - 0.5"), "[StdCalibrate]", ("exact = true mends the stored row",)),
        ((CLIENT, "exact = false"), "[StdQC] [[MinMax]]", ("exact = false", "stored")),
        ((CLIENT, "session_expiry = 0"), REQUESTER, ("session_expiry = 0",)),
        ((CLIENT, "response_topic = elsewhere/copy"), REQUESTER, ("extra_response_topics",)),
        (("host = localhost", "host = far.example\nusername = u\npassword = p"), REQUESTER, ("unencrypted",)),
    ],
    ids=lambda value: value[1].replace("\n", " ")[:50] if isinstance(value, tuple) and len(value) == 2 else "",
)
def test_what_works_but_may_not_be_meant_is_a_warning_and_no_failure(
    check_conf: Check, database: Path, spoil: tuple[str, str], where: str, words: tuple[str, ...]
) -> None:
    report = check_conf(spoil)
    assert find(report, "warning", where, *words), report.lines()
    assert report.exit_status == 0


def test_every_mistake_is_reported_at_once(check_conf: Check, database: Path) -> None:
    report = check_conf(
        ("port = 1883", "port = 0"),
        (CLIENT, "main = enigne\nkeepalive = soon\nusername = u"),
        ("= hardware", "= software"),
        (PLAIN_SERVICES, "restful_services = ,"),
        ("target_unit = US", "target_unit = IMPERIAL"),
    )
    for words in (("port",), ("main = 'enigne'",), ("keepalive",), ("record_gen",), ("restful",), ("target_unit",)):
        assert find(report, "error", *words), words


def test_two_roles_with_one_client_id_are_an_error(check_conf: Check, database: Path) -> None:
    report = check_conf((CLIENT, ""), ("host = localhost", "client_id = same"))
    assert find(report, "error", REQUESTER, "client_id = same", RESPONDER, "its own")


def test_the_stanza_that_the_extension_installs_needs_one_line_for_a_primary(
    tmp_path: Path, make_conf: Callable[..., Path], database: Path
) -> None:
    stanza = (Path(__file__).parents[2] / "src/samesky/station/extension/stanza.conf").read_text()
    text = make_conf(("station_type = MQTTReplicate", "station_type = Simulator")).read_text()
    before, rest = text.split("[MQTTReplicate]", 1)
    after = rest[rest.index("[StdConvert]") :]
    path = tmp_path / "installed.conf"
    path.write_text(before + stanza + after)
    path.chmod(0o640)
    assert find(check_file(path), "error", "[Station]", "follows nobody", "enable = true in [[Responder]]")
    path.write_text(path.read_text().replace("enable = false", "enable = true"))
    report = check_file(path)
    assert report.exit_status == 0, report.lines()
    assert find(report, "info", REQUESTER, "this station is no copy")


def test_a_role_that_is_off_is_said_and_not_checked(check_conf: Check, database: Path) -> None:
    report = check_conf(COPY_ONLY, (PLAIN_SERVICES, "restful_services = ,"))
    assert report.exit_status == 0, report.lines()
    assert find(report, "info", RESPONDER, "enable = false")


def test_the_vendored_names_are_right_where_the_extension_is_installed(
    check_conf: Check, database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bin" / "user" / "samesky" / "station"
    folder.mkdir(parents=True)
    for name in ("weewx_driver.py", "weewx_service.py"):
        (folder / name).touch()
    names = ("samesky.station", "user.samesky.station")
    assert check_conf(names).exit_status == 0
    without = check_conf((PLAIN_SERVICES, "restful_services = ,"))
    assert find(without, "error", f"append user.{SERVICE}")


def test_nothing_is_asked_of_a_station_that_replicates_nothing(tmp_path: Path) -> None:
    (tmp_path / "weewx.conf").write_text("[Station]\nstation_type = Simulator\n")
    report = check_file(tmp_path / "weewx.conf")
    assert find(report, "error", "[MQTTReplicate]", "the section is missing")


@pytest.mark.parametrize(
    "text", ["", "MQTTReplicate = 1", "[MQTTReplicate]", "Engine = 1\nStation = 2\n[MQTTReplicate]"]
)
def test_a_file_that_is_hardly_a_weewx_conf_is_reported_all_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "weewx.conf").write_text(text)
    report = check_file(tmp_path / "weewx.conf")
    assert find(report, "error", "[MQTTReplicate]")


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "weewx.conf").write_bytes(b"[Station]\n\xff\xfe = 1\n")
    assert check_file(tmp_path / "weewx.conf").exit_status == 2


def test_a_mistake_in_a_line_does_not_show_the_secret_in_it(check_conf: Check, database: Path) -> None:
    report = check_conf(("host = localhost", 'password = "hunter2'))
    assert find(report, "error", "line ", "'password'")
    assert "hunter2" not in report.as_json()


def test_without_configobj_the_hint_says_how_to_get_it(
    make_conf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "configobj", None)
    with pytest.raises(SetupError) as caught:
        check_file(make_conf())
    assert "python3-configobj" in caught.value.hint


# Secrets


def test_a_password_in_a_file_that_everybody_can_read_is_a_warning_and_with_strict_an_error(
    make_conf: Callable[..., Path], database: Path
) -> None:
    path = make_conf(("host = localhost", "username = u\npassword = p"))
    assert not find(check_file(path), "warning", "everybody")
    path.chmod(0o644)
    assert find(check_file(path), "warning", "[MQTTReplicate]", "password", f"chmod 640 {path}")
    path.write_text(path.read_text().replace("username = u", "username = u\nstrict = true"))
    assert find(check_file(path), "error", "[MQTTReplicate]", f"chmod 640 {path}")


def test_a_password_file_that_everybody_can_read_is_a_warning(
    check_conf: Check, database: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("p\n")
    secret.chmod(0o644)
    assert find(check_conf((CLIENT, f"username = u\npassword_file = {secret}")), "warning", f"chmod 600 {secret}")
    secret.chmod(0o600)
    assert not find(check_conf((CLIENT, f"username = u\npassword_file = {secret}")), "warning")


# Databases


def test_a_database_in_other_units_than_weewx_writes_is_an_error(check_conf: Check, database: Path) -> None:
    report = check_conf(("target_unit = US", "target_unit = METRIC"))
    assert find(report, "error", "wx_binding", "the database is in US", "write target_unit = US")


def test_a_main_database_that_weewx_will_make_is_no_mistake(check_conf: Check) -> None:
    report = check_conf()
    assert report.exit_status == 0, report.lines()
    assert find(report, "info", "binding wx_binding", "isn't there yet", "made at the first start")


def test_a_secondary_database_that_nobody_makes_is_an_error(check_conf: Check, database: Path) -> None:
    follow = ("        [[[away]]]\n", "        [[[away]]]\n            [[[[air]]]]\n            type = secondary\n")
    binding = (
        "[Databases]",
        "    [[air]]\ndatabase = air\n[Databases]\n    [[air]]\ndatabase_name = air.sdb\ndatabase_type = SQLite",
    )
    report = check_conf(follow, binding)
    assert find(report, "error", "binding air", "initialize = true"), report.lines()


def test_a_file_that_is_no_database_is_an_error(check_conf: Check, database: Path) -> None:
    database.write_bytes(b"this is a text, not a database" * 100)
    assert find(check_conf(), "error", str(database), "not a database")


def test_a_table_that_is_not_a_weewx_archive_is_an_error(check_conf: Check, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    with sqlite3.connect(tmp_path / "archive" / "weewx.sdb") as connection:
        connection.execute("CREATE TABLE archive (dateTime INTEGER PRIMARY KEY, outTemp REAL)")
    connection.close()
    assert find(check_conf(), "error", "no WeeWX archive", "usUnits, interval")


def test_a_database_without_the_table_is_made_by_weewx(check_conf: Check, database: Path) -> None:
    report = check_conf(("database = archive_sqlite", "database = archive_sqlite\ntable_name = other"))
    assert find(report, "info", "no table other yet")


def test_a_copy_that_this_user_cannot_write_is_a_warning(
    check_conf: Check, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # the tests may run as root, who may
    assert find(check_conf(), "warning", "can't be written by this user")


def test_a_mysql_server_that_is_not_there_is_an_error_with_its_address(check_conf: Check) -> None:
    mysql = "driver = weedb.mysql\nhost = 127.0.0.1\nport = 1\nuser = weewx\ndatabase_name = weewx"
    report = check_conf(("database_name = weewx.sdb\n        database_type = SQLite", mysql))
    assert find(report, "error", "127.0.0.1:1", "server runs")
    assert find(report, "info", "MySQL driver")


def test_a_mysql_driver_that_is_missing_is_an_error(check_conf: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pymysql", "MySQLdb"):
        monkeypatch.setitem(sys.modules, name, None)
    mysql = "driver = weedb.mysql\nhost = 127.0.0.1\nport = 1\nuser = weewx\ndatabase_name = weewx"
    report = check_conf(("database_name = weewx.sdb\n        database_type = SQLite", mysql))
    assert find(report, "error", "installation", "python3-pymysql")


def test_the_check_leaves_everything_as_it_was(check_conf: Check, database: Path, tmp_path: Path) -> None:
    check_conf()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
    check_file(tmp_path / "weewx.conf")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")} == before


def test_a_disk_that_is_nearly_full_is_a_warning(
    check_conf: Check, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "LEAST_FREE_BYTES", 1 << 62)
    report = check_conf()
    assert find(report, "warning", "disk", str(database.parent), "make room")
    assert report.exit_status == 0


def test_a_private_key_that_everybody_can_read_is_a_warning(check_conf: Check, database: Path, tmp_path: Path) -> None:
    key = tmp_path / "me.key"
    key.touch(mode=0o644)
    key.chmod(0o644)
    assert find(check_conf((CLIENT, f"key_file = {key}")), "warning", REQUESTER, f"chmod 600 {key}")


def test_an_option_with_a_comma_that_may_have_one_is_taken_as_it_is(check_conf: Check, database: Path) -> None:
    report = check_conf(("enable = true", "extra_response_topics = a/b, c/d"))
    assert report.exit_status == 0, report.lines()


def test_a_line_that_is_no_option_is_never_quoted_for_it_may_be_a_secret(check_conf: Check) -> None:
    said = "\n".join(check_conf(("host = localhost", "host = localhost\n    password hunter2\nhunter2")).lines())
    assert said.count("neither a [section] nor an option, NAME = VALUE") == 2
    assert "hunter2" not in said


def test_a_file_that_is_something_else_is_told_in_a_few_lines(tmp_path: Path) -> None:
    key = tmp_path / "ca.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\n" + "c2VjcmV0\n" * 1000 + "-----END PRIVATE KEY-----\n")
    lines = check_file(key, online=False).lines()
    assert "992 more lines can't be understood: is it a weewx.conf?" in "\n".join(lines)
    assert len(lines) < 20
    assert "c2VjcmV0" not in "\n".join(lines)

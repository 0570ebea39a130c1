"""The extension, installed by weectl into stations that know nothing of samesky: no package, no path to it."""

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from samesky.station.extension.build import build_extension
from stands.databases import SqliteDatabase
from stands.pairs import main_binding, place_database
from stands.rows import wait_until_same
from stands.waiting import wait_for
from stands.weewx_station import TESTS, WeewxStation

pytestmark = pytest.mark.slow

DRIVER = "user.samesky.station.weewx_driver"
SERVICE = "user.samesky.station.weewx_service.MQTTReplicateResponder"
DEADLINE_S = 120
END_TIME = 1_790_000_100


def hide_packages(folder: Path, *names: str) -> dict[str, str]:
    """An environment in which Python finds no package of these names, wherever it is installed."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        f"NAMES = {names!r}\n"
        "class Hider:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in NAMES:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hider())\n"
    )
    return {"PYTHONPATH": f"{folder}:{TESTS}"}


def make_station(root: Path, database: SqliteDatabase, **options: Any) -> WeewxStation:
    environment = hide_packages(root.parent / f"{root.name}-python", "samesky", *options.pop("hidden", ()))
    return WeewxStation(root, [main_binding(database)], environment=environment, **options)


def run_weectl(station: WeewxStation, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "weectl", *arguments, "--config", str(station.config_path)],
        capture_output=True,
        text=True,
        env=station.environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def extension(tmp_path: Path) -> Path:
    path = tmp_path / "samesky-extension.zip"
    build_extension(path)
    return path


def read_stanza(station: WeewxStation) -> str:
    return station.config_path.read_text().partition("[MQTTReplicate]")[2]


def configure(station: WeewxStation, changes: Mapping[str, Any]) -> None:
    def change(config: Any) -> None:
        for path, value in changes.items():
            *sections, name = path.split("/")
            section = config
            for each in sections:
                section = section.setdefault(each, {})
            section[name] = value

    station.edit(change)


def test_the_zip_has_one_folder_and_no_module_that_needs_more_than_weewx_and_paho(extension: Path) -> None:
    with zipfile.ZipFile(extension) as archive:
        names = archive.namelist()
        text = {name: archive.read(name).decode() for name in names}
    assert len({name.partition("/")[0] for name in names}) == 1
    assert all("\nimport click" not in each and "\nfrom rich" not in each for each in text.values())
    assert not [name for name in names if name.endswith(("broker.py", "memory.py"))]


def test_an_installed_extension_replicates_without_samesky(
    tmp_path: Path, broker: MosquittoBroker, extension: Path
) -> None:
    year = SqliteDatabase(tmp_path / "year.sdb")
    write_year(year.path, count=2_000, end_time=END_TIME, seed=5)
    primary = make_station(
        tmp_path / "primary", place_database("sqlite", tmp_path / "p", like=year), archive_interval_s=5
    )
    copy = make_station(tmp_path / "copy", place_database("sqlite", tmp_path / "c"), archive_interval_s=5)
    for station in (primary, copy):
        run_weectl(station, "extension", "install", str(extension), "--yes")
        configure(station, {"MQTTReplicate/host": "127.0.0.1", "MQTTReplicate/port": str(broker.port)})
    configure(primary, {"MQTTReplicate/Responder/enable": "true"})
    configure(copy, {"Station/station_type": "MQTTReplicate", "MQTTReplicate/Requester/archive_interval": "5"})
    with primary, copy:
        primary.start()
        copy.start()
        wait_until_same(primary.database(), copy.database(), DEADLINE_S, explain=copy.tail)
        before = copy.newest() or 0
        copy.wait_for(lambda: (copy.newest() or 0) > before, DEADLINE_S, what="a live record")
        assert "Traceback" not in primary.log_text + copy.log_text


def test_the_stanza_is_added_with_its_comments_and_the_service_answers_nobody_until_it_is_enabled(
    tmp_path: Path, extension: Path
) -> None:
    station = make_station(tmp_path / "station", place_database("sqlite", tmp_path / "data"))
    run_weectl(station, "extension", "install", str(extension), "--yes")
    assert "# ---- The primary: answers copies" in read_stanza(station)
    assert SERVICE in station.config_path.read_text()
    with station:
        station.start()
        station.wait_for(lambda: "responder_off" in station.log_text, DEADLINE_S, what="the service")
        station.wait_for(lambda: station.newest(), DEADLINE_S, what="a record")


def test_a_stanza_that_is_there_is_kept_and_uninstalling_leaves_it(tmp_path: Path, extension: Path) -> None:
    station = make_station(tmp_path / "station", place_database("sqlite", tmp_path / "data"))
    configure(station, {"MQTTReplicate/Requester/host": "broker.example.org"})
    before = read_stanza(station)
    assert "is kept as it is" in run_weectl(station, "extension", "install", str(extension), "--yes")
    assert read_stanza(station) == before
    run_weectl(station, "extension", "uninstall", "samesky", "--yes")
    assert read_stanza(station) == before
    assert SERVICE not in station.config_path.read_text()
    assert not (station.root / "bin" / "user" / "samesky" / "station" / "weewx_driver.py").exists()


def test_without_paho_the_primary_records_and_both_ends_say_what_to_install(tmp_path: Path, extension: Path) -> None:
    primary = make_station(tmp_path / "primary", place_database("sqlite", tmp_path / "p"), hidden=("paho",))
    copy = make_station(tmp_path / "copy", place_database("sqlite", tmp_path / "c"), hidden=("paho",))
    for station in (primary, copy):
        assert "paho-mqtt" in run_weectl(station, "extension", "install", str(extension), "--yes")
    configure(primary, {"MQTTReplicate/Responder/enable": "true"})
    configure(copy, {"Station/station_type": "MQTTReplicate"})
    with primary, copy:
        primary.start()
        copy.start()
        primary.wait_for(lambda: primary.newest(), DEADLINE_S, what="a record")
        assert "paho" in primary.log_text
        assert "Traceback" not in primary.log_text
        wait_for(lambda: not copy.running, DEADLINE_S, what="the copy's end", explain=copy.tail)
        assert "pip install" in copy.log_text


def test_a_stanza_of_the_older_extension_works_unchanged(
    tmp_path: Path, broker: MosquittoBroker, extension: Path
) -> None:
    year = SqliteDatabase(tmp_path / "year.sdb")
    write_year(year.path, count=1_000, end_time=END_TIME, seed=6)
    primary = make_station(
        tmp_path / "primary", place_database("sqlite", tmp_path / "p", like=year), archive_interval_s=5
    )
    copy = make_station(tmp_path / "copy", place_database("sqlite", tmp_path / "c"), archive_interval_s=5)
    link = {"host": "127.0.0.1", "port": str(broker.port), "keepalive": "60", "log_mqtt": "false"}
    responder = {**link, "delta": "60", "max_responder_threads": "3", "throttle_count": "1000", "throttle_sleep": "1"}
    bindings = {"wx": {"data_binding": "wx_binding", "type": "main"}}
    primary.add_service(
        "restful_services",
        "user.mqttreplicate.MQTTResponder",
        {"MQTTReplicate": {"Responder": {**responder, "weather": bindings}}},
    )
    requester = {**link, "loop_interval": "2.5", "archive_interval": "5", "wait_before_retry": "5"}
    pairs = {"wx": {"primary_data_binding": "wx_binding", "secondary_data_binding": "wx_binding", "type": "main"}}
    copy.use_driver("MQTTReplicate", "user.mqttreplicate", {"Requester": {**requester, "weather": pairs}})
    for station in (primary, copy):
        run_weectl(station, "extension", "install", str(extension), "--yes")
    with primary, copy:
        primary.start()
        copy.start()
        wait_until_same(primary.database(), copy.database(), DEADLINE_S, explain=copy.tail)
        # The extension's own line in [Engine] and the old one are one responder, not two that fight for a client id.
        assert "responder_twice" in primary.log_text

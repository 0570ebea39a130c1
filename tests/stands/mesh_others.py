"""Other people's programs of the mesh's field: Sarracenia (metpx-sr3), pywis-pubsub and wis2downloader.

Each has an environment of its own below ``.venv-others``, made once with pip at the versions of ``mesh_others.txt``:
what they need isn't ours to install. They run as separate programs with a home of their own; nothing of theirs is
imported here.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from .mesh_programs import Running
from .ports import free_port

VERSIONS = Path(__file__).with_suffix(".txt")
PLACE = Path(__file__).parents[2] / ".venv-others"
REQUIREMENTS = {
    # Sarracenia needs paho for MQTT, and doesn't say so to pip.
    "metpx-sr3": ("metpx-sr3", "paho-mqtt"),
    "pywis-pubsub": ("pywis-pubsub",),
    "wis2downloader": ("wis2downloader",),
}
SCHEMA = Path(__file__).parents[3] / "shared/data/wis2/wis2-notification-message-bundled.json"
EXAMPLES = SCHEMA.parent / "examples"


class CannotInstall(Exception):
    """pip couldn't make the environment; the words are its last ones."""


def ensure_environment(name: str) -> Path:
    """Make the environment of the program ``name`` if it isn't there; returns the folder of its programs.

    Several processes may ask at once: one makes it, the others wait. Raises `CannotInstall`.
    """
    place = PLACE / name
    wanted = _stamp(name)
    PLACE.mkdir(exist_ok=True)
    with (PLACE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = place / "stamp"
        if not stamp.exists() or stamp.read_text() != wanted:
            _make_environment(place, REQUIREMENTS[name])
            stamp.write_text(wanted)
    return place / "bin"


def _stamp(name: str) -> str:
    """What an environment was made of."""
    digest = hashlib.sha256(VERSIONS.read_bytes()).hexdigest()
    return f"{sys.version} {PLACE} {' '.join(REQUIREMENTS[name])} {digest}\n"


def _make_environment(place: Path, requirements: Sequence[str]) -> None:
    pip = (place / "bin/python", "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", VERSIONS)
    for command in ((sys.executable, "-m", "venv", "--clear", place), (*pip, *requirements)):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=500)
        if done.returncode:
            raise CannotInstall(f"{place.name}: {(done.stdout + done.stderr)[-1500:]}")


def _environment(home: Path, programs: Path, **more: str) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    path = f"{programs}:{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "USER": "tester", "PYTHONUNBUFFERED": "1", **more}


PUBLISHING = "callback importcopy"
"""The line without which sarracenia 3.3.1 can't publish over MQTT: its mqtt.py uses copy without importing it."""
SARRACENIA_PLUGIN = """\
import copy

import sarracenia.moth.mqtt
from sarracenia.flowcb import FlowCB

sarracenia.moth.mqtt.copy = copy


class Importcopy(FlowCB):
    pass
"""


class Sarracenia:
    """One user of Sarracenia: a home with configurations, and the flows that run. A context manager: flows end."""

    def __init__(self, home: Path, *broker_urls: str) -> None:
        """``broker_urls`` have user and password; configurations name them without the password."""
        self._programs = ensure_environment("metpx-sr3")
        self.home = home
        self._config = home / ".config/sr3"
        self._environment = _environment(home, self._programs)
        self._flows: list[Running] = []
        self._write("credentials.conf", "".join(f"{url}\n" for url in broker_urls)).chmod(0o600)
        self._write("plugins/importcopy.py", SARRACENIA_PLUGIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for flow in reversed(self._flows):
            flow.kill()  # a flow that is told to stop takes its time

    def subscribe(self, name: str, broker: str, folder: Path, *lines: str, component: str = "subscribe") -> Running:
        """Download below ``folder`` what ``broker`` announces; returns when the broker has the subscription.

        ``component`` "sarra" announces what it downloads; ``lines`` of configuration say where.
        """
        options = [f"broker {without_password(broker)}", "exchange xpublic", "topicPrefix v03.post", "subtopic #"]
        options += [f"directory {folder}", "mirror on", *lines]
        flow = self._start(component, name, options)
        self._wait_for_log(flow, component, name, "subscribe completed")
        return flow

    def watch(self, name: str, folder: Path, *lines: str) -> Running:
        """Announce what happens in ``folder``; returns when it is watched."""
        flow = self._start("watch", name, [*lines, f"path {folder}", "sleep 0.2"])
        self._wait_for_log(flow, "watch", name, "now active on")
        return flow

    def post(self, name: str, files: Sequence[Path], *lines: str) -> str:
        """Announce ``files`` with ``sr3_post``; ``lines`` say where and how. Returns what it said."""
        self._write(f"post/{name}.conf", _text(lines))
        paths = [part for file in files for part in ("-p", str(file))]
        done = subprocess.run(
            [str(self._programs / "sr3_post"), "-c", name, *paths],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout + done.stderr

    def read_log(self, component: str, name: str) -> str:
        """What the flow has logged."""
        file = self.home / f".cache/sr3/log/{component}_{name}_01.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _start(self, component: str, name: str, lines: Sequence[str]) -> Running:
        """Start one instance, as ``sr3 start`` does. (``sr3 foreground`` never stays connected to an MQTT broker.)"""
        self._write(f"{component}/{name}.conf", _text(lines))
        command = [self._programs / "python", "-m", "sarracenia.instance", "--no", "1", "start", f"{component}/{name}"]
        flow = Running(command, self.home / f"{component}_{name}.out", environment=self._environment)
        self._flows.append(flow)
        return flow

    def _wait_for_log(self, flow: Running, component: str, name: str, words: str) -> None:
        flow.wait_for(lambda: words in self.read_log(component, name), what=repr(words))

    def _write(self, name: str, text: str) -> Path:
        file = self._config / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


def without_password(url: str) -> str:
    """``mqtt://user:password@host:port`` as configurations of Sarracenia have it: ``mqtt://user@host:port``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.username}@{parts.hostname}:{parts.port}"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What pywis-pubsub's test suite says of one message."""

    passed: int
    failed: tuple[str, ...]
    """The requirements that aren't met, with the reason; the schema's errors among them."""


_TEST_SUITE = """
import json, sys
from pywis_pubsub.ets import WNMTestSuite
for line in sys.stdin:
    suite = WNMTestSuite(json.loads(line))
    schema = suite.test_requirement_validation()
    report = suite.run_tests(fail_on_schema_validation=False)["ets-report"]
    failed = [f"{test['id']}: {test.get('message')}" for test in report["tests"] if test["code"] != "PASSED"]
    print(json.dumps({"passed": report["summary"]["PASSED"], "failed": failed + schema.get("errors", [])}))
"""


class PywisPubsub:
    """pywis-pubsub with a home of its own, which holds the published schema."""

    def __init__(self, home: Path) -> None:
        self._programs = ensure_environment("pywis-pubsub")
        self.home = home
        self._environment = _environment(home, self._programs)
        schema = home / ".pywis-pubsub/wis2-notification-message" / SCHEMA.name
        schema.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SCHEMA, schema)

    def test(self, messages: Sequence[bytes | str]) -> list[Verdict]:
        """What its executable test suite (``ets``) and the schema say of each of ``messages``."""
        lines = "".join(json.dumps(json.loads(message)) + "\n" for message in messages)
        said = self._run([self._programs / "python", "-c", _TEST_SUITE], lines)
        return [Verdict(line["passed"], tuple(line["failed"])) for line in map(json.loads, said.splitlines())]

    def validate(self, file: Path) -> dict[str, Any]:
        """The report of ``pywis-pubsub ets validate`` on one file."""
        said = self._run([self._programs / "pywis-pubsub", "ets", "validate", file])
        report: dict[str, Any] = json.loads(said[said.index("{") :])
        return report

    def subscribe(self, broker: str, topics: Sequence[str], folder: Path) -> Running:
        """Validate, download and verify what ``broker`` notifies; files are in ``folder`` under their data_id."""
        config = {
            "broker": broker,
            "client_id": "pywis",
            "subscribe_topics": list(topics),
            "verify_certs": False,
            "validate_message": True,
            "verify_data": True,
            "storage": {"type": "fs", "options": {"basedir": str(folder), "filepath": "data_id"}},
        }
        command = [self._programs / "pywis-pubsub", "subscribe", "--config", self._write("sub", config), "--download"]
        running = Running([*command, "--verbosity", "DEBUG"], self.home / "sub.out", environment=self._environment)
        running.wait_for_text("Subscribed to topic", times=len(topics))
        return running

    def publish(self, broker: str, topic: str, url: str) -> None:
        """Notify on ``topic`` of the file at ``url``, with its checksum and size, as a WIS2 node does."""
        config = self._write("pub", {"broker": broker, "client_id": "pywis"})
        self._run([self._programs / "pywis-pubsub", "publish", "--config", config, "--url", url, "--topic", topic])

    def _write(self, name: str, config: Mapping[str, object]) -> Path:
        file = self.home / f"{name}.yml"
        file.write_text(json.dumps(config))  # JSON is YAML
        return file

    def _run(self, command: Sequence[object], words: str = "") -> str:
        done = subprocess.run(
            [str(part) for part in command],
            env=self._environment,
            input=words,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout


def start_wis2downloader(folder: Path, broker: str, topics: Sequence[str], *, workers: int = 2) -> Running:
    """Run wis2downloader; returns when it has subscribed. It stores below ``folder/files/<date>/<topic>/``."""
    programs = ensure_environment("wis2downloader")
    url, port = urlsplit(broker), free_port()
    files = folder / "files"
    files.mkdir(parents=True)
    session = folder / "session.json"
    session.write_text(json.dumps({"topics": dict.fromkeys(topics, "$TOPIC"), "client_id": f"wis2downloader-{port}"}))
    config = {
        "base_url": f"http://127.0.0.1:{port}",
        "broker_hostname": url.hostname,
        "broker_port": url.port,
        "broker_username": url.username,
        "broker_password": url.password,
        "broker_protocol": "tcp",
        "download_dir": str(files),
        "download_workers": workers,
        "flask_host": "127.0.0.1",
        "flask_port": port,
        "log_level": "INFO",
        "log_path": str(folder),
        "min_free_space": 0,
        "mqtt_session_info": str(session),
        "save_logs": False,
        "validate_topics": False,  # that would fetch the topics from the internet
    }
    config_file = folder / "config.json"
    config_file.write_text(json.dumps(config))
    environment = _environment(folder / "home", programs, WIS2DOWNLOADER_CONFIG=str(config_file))
    running = Running([programs / "wis2downloader", "run-dev"], folder / "wis2downloader.out", environment=environment)
    running.wait_for_text("Subscription to topic successful", times=len(topics))
    return running

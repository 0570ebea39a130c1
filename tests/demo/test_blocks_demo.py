"""`samesky demo blocks` as a user runs it: what it says, how it ends, and that it leaves nothing behind."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from samesky.demo.blocks_walkthrough import FIRST_CALL, SECOND_CALL, run_call, use_port
from samesky.demo.gateway import Gateway, is_taken, open_gateway
from samesky.errors import Unreachable
from stands.demo_run import DemoRun, find_processes
from stands.ports import free_port
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

STEPS = [
    "the answer to the first call",
    "the answer to the second call",
    "the dummy sensor follows",
    "it has moved with the sensor",
    "translated as in the document",
    "the exchange",
    "a null isn't written",
    "and the status tells of it",
    "stale when its primary is dead",
    "and not written",
    "right when the primary is back",
    "and fresh",
    "the exchange",
]


class Run(DemoRun):
    """A run of this demo."""

    def __init__(self, folder: Path, *options: str, code: str = "", path: str | None = None) -> None:
        super().__init__(folder, "demo", "blocks", *options, code=code, path=path, columns=120)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's temporary directory will be; after the test, no process may know it any more."""
    yield tmp_path
    wait_for(lambda: find_processes(tmp_path) == [], 60, what="the end of every process")


def read_streams(page: str) -> set[str]:
    """The streams that the page at this address shows."""
    told = subprocess.run(["curl", "-sf", f"{page}status.json"], capture_output=True, check=True).stdout
    return {each["stream"] for each in json.loads(told)["streams"]}


def test_the_walkthrough_is_shown_and_what_goes_wrong_and_ctrl_c_ends_it(folder: Path) -> None:
    with Run(folder, "--json") as run:
        run.wait_for_text("Ctrl-C ends the demo.")
        (url,) = re.findall(r"samesky blocks status --url (http://\S+)\n  http", run.text)
        told = json.loads(subprocess.run(["curl", "-sf", f"{url}/status.json"], capture_output=True, check=True).stdout)
        assert [link["id"] for link in told["links"]] == ["dummy-sensor", "slave-block"]
        (page,) = re.findall(r"\APage: (http://\S+/) ", run.text)
        # The service that was started again posts how it does within seconds.
        wait_for(
            lambda: {"spark-slave.dummy-sensor", "spark-master.master-sensor"} <= read_streams(page),
            60,
            what="both ends on the page",
        )
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 0, run.text
        outcome, text = json.loads(run.outcome_path.read_text()), run.text
    assert (outcome["same"], outcome["key"]) == (True, "spark-master.master-sensor")
    assert [step["what"] for step in outcome["steps"]] == STEPS
    assert all(step["right"] for step in outcome["steps"])

    (port,) = re.findall(r"^Both are behind http://localhost:(\d+)/", text, re.MULTILINE)
    assert use_port(FIRST_CALL, int(port)) + '{\n  "key": "spark-master.master-sensor"\n}\n' in text
    assert use_port(SECOND_CALL, int(port)) + "null\n" in text
    assert re.search(r"^dummy-sensor after:  \{\"value\": 20\.5\}  \(\d+\.\d s later\)$", text, re.MULTILINE)
    assert text.count("\nsyncast topic false true\n") == 2
    assert "  its status: value is null, as of a sensor that has failed\n" in text
    assert re.search(r"s later dummy-sensor is stale:\n\$ samesky blocks status [^$]*failing, stale", text)
    assert "All 13 are as they should be." in text
    assert text.splitlines()[-1] == "Ended."
    assert "Traceback" not in text
    assert not list(folder.glob("samesky-demo-*"))


def test_the_blocks_of_an_earlier_demo_are_left_alone(folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "spark-slave.json").write_text("precious")
    with Run(folder, "--directory", str(folder / "kept")) as run:
        assert run.wait() == 2, run.text
    assert "has the blocks of an earlier demo" in run.text
    assert [path.name for path in (folder / "kept").iterdir()] == ["spark-slave.json"]


def test_a_kill_takes_rabbitmq_and_the_services_along(folder: Path) -> None:
    with Run(folder) as run:
        run.wait_for_text("Both are behind http://localhost:")
        assert len(find_processes(folder)) >= 3
        run.process.kill()
        run.wait()


def test_without_a_library_it_says_how_to_get_it(folder: Path) -> None:
    code = (
        "import importlib.util as util, sys; find = util.find_spec; "
        "util.find_spec = lambda name, *more: None if name == 'aio_pika' else find(name, *more); "
        "from samesky.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with Run(folder, code=code) as run:
        assert run.wait() == 2
    assert run.text.startswith("samesky: aio_pika: not installed for ")
    assert "pip install 'samesky[demo]'" in run.text


def test_without_rabbitmq_it_says_how_to_get_it(folder: Path) -> None:
    code = (
        "import sys; from samesky.link import rabbitmq_broker; rabbitmq_broker.RABBITMQ_PLACES = (); "
        "from samesky.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with Run(folder, code=code, path=str(folder)) as run:
        assert run.wait() == 2
    assert "RabbitMQ isn't installed" in run.text
    assert "apt install rabbitmq-server" in run.text


# ---------------------------------------------------------------------- one port, and the document's calls


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        told = {"path": self.path, "body": body, "type": self.headers["Content-Type"], "host": self.headers["Host"]}
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """In front of two services: one that echoes, and one that isn't there."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with Gateway({"spark-master": server.server_port, "spark-slave": free_port()}, port=0) as gateway:
            yield gateway
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("curl", [True, False])
def test_a_call_is_made_as_it_is_printed_with_curl_or_without(
    gateway: Gateway, curl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not curl:
        monkeypatch.setenv("PATH", "")
    answer = run_call(use_port(FIRST_CALL, gateway.port))
    assert isinstance(answer, dict)
    assert answer["path"] == "/spark-master/remote/master"
    assert answer["type"] == "application/json"
    assert answer["host"] == f"localhost:{gateway.port}"
    assert str(answer["body"]).startswith("{ \\\n")


@pytest.mark.parametrize("curl", [True, False])
def test_a_call_that_fails_is_told(gateway: Gateway, curl: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not curl:
        monkeypatch.setenv("PATH", "")
    with pytest.raises(Unreachable, match="502"):
        run_call(use_port(SECOND_CALL, gateway.port))
    with pytest.raises(Unreachable):
        run_call(use_port(SECOND_CALL, free_port()))


def test_a_service_that_there_is_not_is_told_by_the_gateway(gateway: Gateway) -> None:
    for path in ("/other/remote", "/", "/spark-master2/x"):
        with pytest.raises(HTTPError) as raised:
            urlopen(Request(f"http://127.0.0.1:{gateway.port}{path}"))
        with closing(raised.value) as error:
            assert error.code == 404
            assert "/spark-master/, /spark-slave/" in json.load(error)["detail"]


def test_another_port_is_found_when_somebody_has_the_documents_and_does_not_answer_yet() -> None:
    port = free_port()
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", port))
        with open_gateway({}, port=port) as gateway:
            assert gateway.port != port
    with open_gateway({}, port=port) as gateway:
        assert gateway.port == port


def test_a_port_is_taken_when_somebody_answers_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert is_taken(server.getsockname()[1])
    assert not is_taken(free_port())

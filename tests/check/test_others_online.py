"""`samesky check --online` with a real site and centre, a real RabbitMQ and a real mosquitto."""

from pathlib import Path

import pytest

from samesky.check import check_file
from samesky.link.broker import MosquittoBroker
from stands.push_pair import make_pair
from stands.push_server import PushServer
from stands.rabbitmq import RabbitmqNode

from .conftest import find

pytestmark = pytest.mark.slow


def write_blocks(folder: Path, broker: str) -> Path:
    path = folder / "samesky.toml"
    path.write_text(
        f'[blocks]\n{broker}\nlisten = "127.0.0.1:0"\nstate = "{folder}/state.json"\n'
        f'[blocks.services.spark]\nstore = "{folder}/spark.json"\n'
    )
    path.chmod(0o600)
    return path


def test_a_site_and_its_centre_are_asked_and_nothing_is_changed(tmp_path: Path) -> None:
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}") as server, make_pair(server, tmp_path / "site") as pair:
        config = pair.write_config()
        before = (tmp_path / "site" / "site.db").read_bytes()
        report = check_file(config, online=True)
        assert report.exit_status == 0, report.lines()
        assert find(report, "info", "push", "has the tables that are pushed")
        assert find(report, "info", "push.targets.centre", f"the centre at {server.url} takes the key")
        assert (tmp_path / "site" / "site.db").read_bytes() == before
        config.write_text(config.read_text().replace(pair.key, "sk_wrong"))
        refused = check_file(config, online=True)
        assert refused.exit_status == 2
        assert find(refused, "error", "push.targets.centre", "key")


def test_who_may_not_be_reached_or_is_no_centre_is_told_apart(tmp_path: Path) -> None:
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}") as server, make_pair(server, tmp_path / "site") as pair:
        config = pair.write_config()
        config.write_text(config.read_text().replace(server.url, f"{server.url}/elsewhere"))
        assert check_file(config, online=True).exit_status != 0
        config = pair.write_config()
    report = check_file(config, online=True)  # the server has ended
    assert find(report, "error", "push.targets.centre")
    assert report.exit_status == 3, report.lines()


def test_a_rabbitmq_that_lets_us_hear_is_told_and_one_that_does_not_know_us(
    tmp_path: Path, rabbitmq: RabbitmqNode
) -> None:
    report = check_file(write_blocks(tmp_path, f'amqp = "{rabbitmq.url}"'), online=True)
    assert report.exit_status == 0, report.lines()
    assert find(report, "info", "blocks", "may hear what is on syncast")
    wrong = str(rabbitmq.url).replace("guest:guest@", "guest:wrong@")
    refused = check_file(write_blocks(tmp_path, f'amqp = "{wrong}"'), online=True)
    assert find(refused, "error", "blocks", "amqp:")
    assert refused.exit_status in (2, 3)


@pytest.mark.parametrize(
    ("rights", "severity", "words"),
    [
        ("readwrite", "info", "may publish and hear what is on syncast/#"),
        ("read", "error", "in its ACL write topic write syncast/#"),
        ("write", "error", "in the broker's ACL write topic read syncast/#"),
    ],
)
def test_a_mosquitto_is_asked_for_its_rights(rights: str, severity: str, words: str, tmp_path: Path) -> None:
    with MosquittoBroker(acl=f"topic readwrite replicate/#\ntopic {rights} syncast/#\n") as broker:
        report = check_file(write_blocks(tmp_path, f'mqtt = "mqtt://127.0.0.1:{broker.port}"'), online=True)
    assert find(report, severity, "blocks", words), report.lines()
    assert report.exit_status == (2 if severity == "error" else 0)

"""`samesky push verify` tells whether a centre has what the site has, and with --repair makes it so."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from samesky.cli.main import main
from samesky.push.keys import Scope
from samesky.push.proof import Proof
from stands.push_server import PushServer
from stands.push_site import DAY, PushSite, make_site

pytestmark = pytest.mark.slow

ROWS = 2000
LATE = {"time": DAY + 12_345, "nodeId": 69, "type": 0, "locationId": 1, "value": 21.5}


@dataclass
class Stand:
    """A site that has been pushed to a centre, and its configuration."""

    site: PushSite
    server: PushServer
    config: Path
    central: Path

    def call(self, command: str, *arguments: str) -> int:
        """Run a command of the site."""
        return main(["push", command, "--config", str(self.config), *arguments])

    def verify(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Proof]]:
        """Verify, and what is told of each table."""
        capsys.readouterr()
        status = self.call("verify", "--json", *arguments)
        (told,) = json.loads(capsys.readouterr().out)["targets"]
        return status, {table["table"]: Proof.from_dict(table) for table in told["tables"]}

    def at_centre(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute SQL in the centre's database, behind its back."""
        with closing(sqlite3.connect(self.central)) as connection, connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    central = tmp_path / "central.sdb"
    with (
        PushServer(f"sqlite:///{central}") as server,
        make_site(f"sqlite:///{tmp_path / 'site.sdb'}") as site,
    ):
        server.central.sites.add("hill-farm")
        site.fill(ROWS)
        config = tmp_path / "samesky.toml"
        config.write_text(
            f'[push]\ndatabase = "sqlite:///{tmp_path / "site.sdb"}"\nstate_dir = "state"\n'
            f'[push.targets.centre]\nurl = "{server.url}"\nkey = "{server.make_key("hill-farm", Scope.APPEND)}"\n'
        )
        config.chmod(0o600)
        made = Stand(site, server, config, central)
        assert made.call("run") == 0
        yield made


def test_what_was_pushed_is_the_same_and_one_question_tells_so(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    status, proofs = stand.verify(capsys)
    assert status == 0
    assert (proofs["Reading"].same, proofs["Reading"].rows, proofs["Reading"].questions) == (True, ROWS, 1)
    assert proofs["NodeState"].to_s is None
    assert stand.call("verify") == 0
    said = capsys.readouterr().out
    assert f"centre: Reading: the same: {ROWS:,} rows, digest {proofs['Reading'].digest}" in said
    assert "centre: NodeState: nothing was pushed yet: there is nothing to compare" in said


def test_a_verification_begins_no_run(stand: Stand) -> None:
    before = stand.at_centre("SELECT run FROM samesky_site")
    assert stand.call("verify", "--deep") == 0
    assert stand.at_centre("SELECT run FROM samesky_site") == before


def test_a_late_row_and_a_corrected_value_are_found_and_a_repair_sends_them(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.site.insert("Reading", LATE)
    key = {"time": DAY, "nodeId": 70, "type": 2}
    stand.site.replace("Reading", key | {"locationId": None, "value": -1.5})
    status, proofs = stand.verify(capsys)
    assert status == 1
    assert (proofs["Reading"].different_groups, proofs["Reading"].missing) == (2, 1)
    assert proofs["Reading"].examples == ("2023-11-15 69", "2023-11-15 70")
    assert stand.call("status") == 1, "what a verification found is told by status"
    capsys.readouterr()
    assert stand.call("verify") == 1
    assert f"samesky push verify --config {stand.config} --target centre --repair" in capsys.readouterr().out
    status, proofs = stand.verify(capsys, "--repair")
    assert status == 0
    assert (proofs["Reading"].same, proofs["Reading"].resent_rows, proofs["Reading"].rows) == (True, 2, ROWS + 1)
    assert stand.at_centre('SELECT value FROM "Reading" WHERE "value" IN (21.5, -1.5) ORDER BY 1') == [(-1.5,), (21.5,)]
    assert stand.verify(capsys)[0] == 0
    assert stand.call("status") == 0


def test_a_hole_at_the_centre_is_found_and_filled(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    stand.at_centre('DELETE FROM "Reading" WHERE "nodeId" = 71 AND "type" = (SELECT min("type") FROM "Reading")')
    status, proofs = stand.verify(capsys)
    assert status == 1
    assert proofs["Reading"].missing == ROWS // 9
    assert stand.verify(capsys, "--repair")[0] == 0
    assert stand.at_centre('SELECT count(*) FROM "Reading"') == [(ROWS,)]


def test_rows_that_only_the_centre_has_are_told_and_stay(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    gone = stand.site.execute('DELETE FROM "Reading" WHERE "nodeId" = 70 AND "type" = 8')
    assert stand.verify(capsys)[0] == 1, "until it's sent once more nobody knows that no row is different"
    status, proofs = stand.verify(capsys, "--repair")
    assert (status, proofs["Reading"].extra_at_centre) == (0, gone)
    assert stand.at_centre('SELECT count(*) FROM "Reading"') == [(ROWS,)]
    status, proofs = stand.verify(capsys)
    assert (status, proofs["Reading"].extra_at_centre, proofs["Reading"].questions) == (0, gone, 1)


def test_deep_reads_all_rows_whatever_was_kept_at_either_end(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    stand.at_centre("UPDATE samesky_digest SET digest_low = 0")
    assert stand.verify(capsys)[0] == 1
    assert stand.verify(capsys, "--deep")[0] == 0
    assert stand.verify(capsys)[0] == 0, "what was read is kept"


def test_a_centre_that_is_gone_is_status_three_and_a_wrong_key_two(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    text = stand.config.read_text()
    stand.config.write_text(text.replace(f":{stand.server.port}", ":9"))
    assert stand.call("verify") == 3
    assert "centre:" in capsys.readouterr().err
    stand.config.write_text(text.replace('key = "', 'key = "x'))
    assert stand.call("verify") == 2
    assert "what to do" in capsys.readouterr().err

"""`verify`, `repair` and `check` where the copy trusts its primary's key, and a stranger answers too."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from samesky.station import conversation
from samesky.station.location import SqliteLocation
from samesky.station.serving import Serving
from samesky.station.signing_keys import SecretKey, make_key, write_secret_key
from stands.served_copy import ServedCopy, make_serving
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

KEY = make_key("home")


@pytest.fixture
def broker() -> Iterator[MosquittoBroker]:
    with MosquittoBroker(persistence=False) as broker:
        yield broker


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pair(broker: MosquittoBroker, tmp_path: Path) -> Iterator[ServedCopy]:
    """A copy that trusts `KEY`; nobody answers yet."""
    (tmp_path / "pair").mkdir()
    with ServedCopy(tmp_path / "pair", broker.port, serve=False) as pair:
        pair.trust(KEY)
        yield pair


def serve(stack: ExitStack, port: int, database: Path, key: SecretKey | None, client_id: str = "home") -> Serving:
    serving = make_serving(port, SqliteLocation(database), sign_key=key, client_id=client_id)
    stack.enter_context(serving)
    wait_for(lambda: serving.snapshots()[0].state == "live", 30)
    return serving


def serve_lies(stack: ExitStack, pair: ServedCopy, port: int, key: SecretKey | None) -> Serving:
    """A second primary, of which each record is another, and a tenth of them are missing."""
    lies = pair.folder / "lies.sdb"
    shutil.copy(pair.primary, lies)
    pair.change(lies, "UPDATE archive SET outTemp = -99", "DELETE FROM archive WHERE dateTime % 3000 = 0")
    return serve(stack, port, lies, key, "liar")


def call(pair: ServedCopy, *words: str) -> int:
    return main([*words, "--config", str(pair.config_path)])


@pytest.mark.parametrize("key", [None, make_key("home")], ids=["unsigned", "signed by its own key"])
def test_a_liar_makes_neither_verify_nor_repair_believe_it(
    broker: MosquittoBroker,
    stack: ExitStack,
    pair: ServedCopy,
    key: SecretKey | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    liar = serve_lies(stack, pair, broker.port, key)
    serve(stack, broker.port, pair.primary, KEY)
    assert call(pair, "verify") == 0
    assert "the same: " in capsys.readouterr().out
    pair.spoil()
    assert call(pair, "repair") == 0
    assert pair.everything() == pair.everything(pair.primary)
    wait_for(lambda: liar.sent["describe"] >= 1, 30, what="the liar's answer")  # often later than the other


def test_where_only_a_liar_answers_nothing_is_believed_and_it_is_said_why(
    broker: MosquittoBroker,
    stack: ExitStack,
    pair: ServedCopy,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "PATIENCE_S", 3.0)
    serve_lies(stack, pair, broker.port, None)
    before = pair.everything()
    assert call(pair, "repair") == 4
    told = capsys.readouterr().err
    assert "no answer came that can be believed: the message isn't signed" in told
    assert "samesky station key make" in told
    assert pair.everything() == before


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        (KEY, 0, f"the answer is signed with the key {KEY.public.key_id}"),
        (None, 2, "the message isn't signed, and signatures are required here. Give the primary a key"),
        (make_key("home"), 2, "which isn't trusted here"),
    ],
    ids=["signed", "unsigned", "signed by another key"],
)
def test_check_says_who_has_signed(
    broker: MosquittoBroker,
    stack: ExitStack,
    pair: ServedCopy,
    key: SecretKey | None,
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(stack, broker.port, pair.primary, key)
    pair.config_path.chmod(0o600)
    assert main(["check", "--online", str(pair.config_path)]) == status
    told = capsys.readouterr()
    said = " ".join((told.out + told.err).split())
    assert words in said
    assert "believes what the keys of" in said


CONFIG = """
[broker]
host = "127.0.0.1"
[station.{role}]
{options}
[station.{role}.home.wx_binding]
type = "main"
sqlite = "{folder}/x.sdb"
"""


@pytest.mark.parametrize(
    ("role", "options", "words"),
    [
        ("follow", 'trusted_keys = "{trusted}"\nprotocol = 1', "version 1 has no signatures"),
        ("follow", "require_signature = true", "needs trusted_keys"),
        ("follow", 'trusted_keys = "{aways}"', "has no key of home: add its line"),
        ("follow", 'trusted_keys = "{secret}"', "SECRET"),
        ("follow", 'trusted_keys = "{trusted}"\nrequire_signature = false', "what isn't signed is believed too"),
        ("follow", 'trusted_keys = "{trusted}"\nanswer = true', "answer = true without sign_key_file"),
        ("serve", 'sign_key_file = "{aways_secret}"', "the key of sign_key_file is away's"),
        ("serve", 'sign_key_file = "{trusted}"', "holds no secret key"),
        ("serve", 'sign_key_file = "{secret}"', "signs what it says; its public key: home "),
    ],
    ids=str,
)
def test_check_finds_mistakes_about_keys(
    tmp_path: Path, role: str, options: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / name for name in ("trusted", "aways", "secret", "aways_secret")}
    away = make_key("away")
    files["trusted"].write_text(f"{KEY.public.line}\n")
    files["aways"].write_text(f"{away.public.line}\n")
    write_secret_key(files["secret"], KEY)
    write_secret_key(files["aways_secret"], away)
    path = tmp_path / "samesky.toml"
    path.write_text(CONFIG.format(role=role, options=options.format(**files), folder=tmp_path))
    main(["check", str(path)])
    told = capsys.readouterr()
    assert words in " ".join((told.out + told.err).split())

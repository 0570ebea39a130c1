"""The command line as a user and as a script meet it: words on standard error, an exit status, no traceback."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from samesky import __version__
from samesky.cli.main import main, run, samesky
from samesky.config import Findings
from samesky.core.strict import Reason, Refused
from samesky.errors import (
    ConfigError,
    DataError,
    DifferenceFound,
    Locked,
    SameskyError,
    SetupError,
    Unreachable,
)

SOURCE = Path(__file__).resolve().parents[2] / "src"


def call(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run `python -m samesky` with ``arguments``, or ``code``, in a process of its own."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "samesky"]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, timeout=60)


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of every command there is, groups included."""
    pending: list[tuple[tuple[str, ...], click.Command]] = [((), samesky)]
    while pending:
        words, command = pending.pop()
        yield words
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                pending.append(((*words, name), child))


def fail_with(error: BaseException) -> int:
    def command() -> None:
        raise error

    return run(command)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SameskyError("no"), 4),
        (DifferenceFound("2 rows differ"), 1),
        (ConfigError("weewx.conf can't be read"), 2),
        (SetupError("paho-mqtt is missing"), 2),
        (Unreachable("no answer from the broker"), 3),
        (DataError("the page's digest is wrong"), 4),
        (Refused(Reason.JSON, "the payload isn't JSON"), 4),
        (Locked("another process follows into this database"), 5),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("no such option"), 2),
        (ConnectionRefusedError(111, "Connection refused"), 3),
        (PermissionError(13, "Permission denied", "/etc/shadow"), 2),
        (OSError(28, "No space left on device"), 4),
        (ZeroDivisionError(), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_kind_of_failure_has_its_exit_status(error: BaseException, status: int) -> None:
    assert fail_with(error) == status


def test_success_is_zero_and_a_status_that_a_command_returns_is_kept() -> None:
    assert run(lambda: None) == 0
    assert run(lambda: 1) == 1


def test_every_error_class_is_told_in_a_sentence_and_a_hint_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for kind in (DifferenceFound, ConfigError, SetupError, Unreachable, DataError, Locked):
        fail_with(kind("what is wrong", hint="what mends it"))
        assert capsys.readouterr().err == "samesky: what is wrong\n  what to do: what mends it\n"


def test_a_refusal_by_the_system_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(PermissionError(13, "Permission denied", "/etc/shadow"))
    assert capsys.readouterr().err == "samesky: Permission denied: /etc/shadow\n"


def test_every_mistake_of_a_configuration_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(ConfigError("2 mistakes in a.toml", problems=("a.toml: port: 0", "a.toml: host: empty")))
    assert capsys.readouterr().err == "samesky: 2 mistakes in a.toml\n  - a.toml: port: 0\n  - a.toml: host: empty\n"


def test_a_fault_of_our_own_is_told_with_its_traceback_and_is_never_taken_for_a_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fail_with(ZeroDivisionError("oh")) == 70
    assert "ZeroDivisionError: oh" in capsys.readouterr().err


def test_the_version_is_the_package_s() -> None:
    assert call("--version").stdout.split()[-1] == __version__


def test_an_unknown_command_is_a_mistake_of_usage() -> None:
    result = call("frobnicate")
    assert result.returncode == 2
    assert "No such command 'frobnicate'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", list(every_command()), ids=lambda words: " ".join(words) or "samesky")
def test_the_help_of_every_command_has_an_example_of_it(words: tuple[str, ...]) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(samesky, [*words, "--help"], prog_name="samesky")
    assert result.exit_code == 0
    example = re.search(r"^ *Examples?:\s+(.*)$", result.output, re.MULTILINE)
    assert example is not None
    assert example[1].startswith(" ".join(("samesky", *words)))


def test_every_help_is_shown_with_nothing_but_click_installed() -> None:
    code = f"""
import sys
class OnlyClick:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {{"samesky", "click"}}:
            raise ModuleNotFoundError(f"not installed here: {{name}}", name=name)
sys.meta_path.insert(0, OnlyClick())
from samesky.cli.main import main
for words in {list(every_command())!r}:
    assert main([*words, "--help"]) == 0, words
"""
    result = call(code=code)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_first_help_loads_no_heavy_module() -> None:
    code = """
import sys
from samesky.cli.main import main
main(["--help"])
print({"paho", "rich", "sqlite3", "weewx", "asyncio"} & set(sys.modules), file=sys.stderr)
"""
    assert call(code=code).stderr == "set()\n"


def test_the_first_help_loads_nothing_that_a_command_alone_needs() -> None:
    code = (
        "import sys; from samesky.cli.main import main; assert main(['--help']) == 0; "
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = call(code=code).stderr.split()
    assert "click" in loaded
    ours = {name for name in loaded if name.startswith("samesky.")}
    assert not {name for name in ours if name.split(".")[1] not in ("cli", "errors")}
    assert not {"asyncio", "sqlite3", "ssl", "rich", "paho", "starlette", "sqlalchemy", "tomllib"}.intersection(loaded)


def test_a_reader_that_goes_away_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as gone:
        environment = os.environ | {"PYTHONPATH": str(SOURCE)}
        command = [sys.executable, "-m", "samesky", "--help"]
        result = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, env=environment, timeout=60)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, "")


def test_sigterm_closes_what_is_open_and_ends_with_its_own_status() -> None:
    code = """
import contextlib, os, signal, sys
from samesky.cli.main import main
main(["--version"])
with contextlib.closing(sys.stderr), contextlib.ExitStack() as stack:
    stack.callback(print, "closed", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""
    result = call(code=code)
    assert (result.returncode, result.stderr) == (128 + signal.SIGTERM, "closed\n")


def test_a_mistake_of_a_configuration_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    findings, said = Findings(), "samesky: a.toml: web: port is missing\n"
    for mistake, line in (("port is missing", ""), ("host is missing", "  - web: host is missing\n")):
        findings.error("web", mistake)
        with pytest.raises(ConfigError) as raised:
            findings.raise_errors("a.toml")
        fail_with(raised.value)
        said += line
        assert capsys.readouterr().err == said


def test_a_command_that_was_mistyped_is_told_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    for words, meant in ((("statsu",), "status"), (("mesh", "per"), "peer"), (("push", "key", "ad"), "add")):
        assert main(words) == 2
        assert f"No such command '{words[-1]}'. Did you mean '{meant}'?" in capsys.readouterr().err
    assert main(["xyzzy"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_is_not_in_utf_8_gets_what_it_can_show_and_no_traceback(encoding: str) -> None:
    code = (
        "import sys; from samesky.cli.plain_text import allow_any_encoding; allow_any_encoding()\n"
        "print('■ ◣ □ ◆ … Müller \\U0001f300 \\udcff'); print('…', file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=True)
    said, plain = done.stdout.decode(encoding), {"ascii": "M\\u00fcller", "latin-1": "Müller"}
    if encoding == "utf-8":
        assert said == "■ ◣ □ ◆ … Müller \U0001f300 \\udcff\n"
    else:
        assert said == f"# / . ! ... {plain[encoding]} \\ud83c\\udf00 \\udcff\n"
        assert done.stderr == b"...\n"


def test_a_file_name_that_a_terminal_cannot_show_is_told_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "Müller.toml"
    config.write_text('[station.follow.home.wx_binding]\ntype = "main"\nsqlite = "a.sdb"\n')
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "samesky", "status", "--status-dir", str(tmp_path), "--config", str(config)]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert (done.returncode, b"M\\u00fcller.toml" in done.stdout) == (3, True), done.stderr

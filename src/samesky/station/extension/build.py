"""Writes the extension: a zip with one folder in it, as ``weectl extension install`` takes it.

Whoever installs it needs WeeWX and paho, not samesky: the zip holds ``core/``, ``station/``, the MQTT part of ``link/``
and the modules they need, to be put under WeeWX's ``user/``. All their imports of each other are relative.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from ... import __version__

PACKAGE = Path(__file__).parents[2]
TARGET = "bin/user"
# Everything of these, but for what only tests, demos and the command line use.
_VENDORED = ("__init__.py", "errors.py", "config.py", "core", "link", "station")
_OF_THE_MESH = ("broker_url", "http", "http1", "http_connection", "http_exchange", "http_host", "resolving", "urls")
_OF_THE_BLOCKS = (
    "amqp",
    "amqp_connection",
    "amqp_frames",
    "amqp_line",
    "amqp_message",
    "amqp_outgoing",
    "amqp_settings",
    "amqp_url",
    "amqp_words",
    "rabbitmq_broker",
)
_OF_WEB_SERVERS = ("api_page", "problems", "seldom", "web_requests", "web_server")
_LEFT_OUT = frozenset(
    {
        "link/memory.py",
        "link/broker.py",
        "link/child_process.py",
        "link/rest.py",
        "station/comparison.py",
        "station/source.py",
        "station/coverage.py",
        "station/watched_status.py",
        "station/primary_rows.py",
        "station/extension/build.py",
    }
    | {f"link/{name}.py" for name in (*_OF_THE_MESH, *_OF_THE_BLOCKS, *_OF_WEB_SERVERS)}
)
# The module of an older extension of this family, so that its stanza works as it is.
_FAMILY_MODULE = '''"""Stands in for an older extension's module, so that a stanza written for it works unchanged."""

from user.samesky.station.weewx_driver import MQTTReplicateDriver as MQTTRequester
from user.samesky.station.weewx_driver import confeditor_loader, loader
from user.samesky.station.weewx_service import MQTTReplicateResponder as MQTTResponder

__all__ = ["MQTTRequester", "MQTTResponder", "confeditor_loader", "loader"]
'''


def build_extension(output: Path) -> None:
    """Write the extension's zip to ``output``, replacing a file that is there."""
    root = f"samesky-{__version__}"
    files = {f"{TARGET}/samesky/{name}": path.read_text(encoding="utf-8") for name, path in _package_files()}
    files[f"{TARGET}/mqttreplicate.py"] = _FAMILY_MODULE
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted({**files, "install.py": _make_installer(sorted(files))}.items()):
            archive.writestr(f"{root}/{name}", text)


def _make_installer(names: list[str]) -> str:
    """install.py with the version, the list of files and the stanza filled in."""
    folder = PACKAGE / "station" / "extension"
    listed = "".join(f"    {name!r},\n" for name in names)
    stanza = (folder / "stanza.conf").read_text(encoding="utf-8")
    return (
        (folder / "install.py")
        .read_text(encoding="utf-8")
        .replace("@VERSION@", __version__)
        .replace("FILES: list[str] = []", f"FILES = [\n{listed}]")
        .replace('STANZA = ""', f"STANZA = {stanza!r}")
    )


def _package_files() -> Iterator[tuple[str, Path]]:
    """(name relative to the package, path) of each file that the extension needs."""
    for entry in _VENDORED:
        path = PACKAGE / entry
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            name = file.relative_to(PACKAGE).as_posix()
            if file.suffix in (".py", ".conf") and name not in _LEFT_OUT and name != "station/extension/install.py":
                yield name, file

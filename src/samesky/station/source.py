"""A configuration's file: samesky.toml, read by the standard library, or weewx.conf by configobj, as WeeWX does it.

What it says of where the roles keep how they are doing is here as well, and what to type about a stream of it.
"""

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Findings, Options, find_table, read_toml
from ..core.status import Snapshot
from ..errors import ConfigError, SetupError
from .databases import state_directory

_MOST_LINES = 10
"""Of a file that is something else every line would be a mistake."""


def is_toml(path: Path) -> bool:
    """Whether ``path`` is named as a samesky.toml; everything else is taken for a weewx.conf."""
    return path.suffix.lower() == ".toml"


def read_source(path: Path, findings: Findings) -> dict[str, Any]:
    """The file's sections as plain dicts; mistakes within lines are noted.

    Raises `ConfigError` when it can't be read at all, `SetupError` when configobj is needed and isn't there.
    """
    return read_toml(path) if is_toml(path) else _read_weewx_conf(path, findings)


def read_tables(path: Path, findings: Findings) -> tuple[dict[str, Any], bool]:
    """The file's tables or sections, and whether it is a weewx.conf; by what is in it, if not by its name."""
    if is_toml(path) or _is_toml_inside(path):
        return read_toml(path), False
    return read_source(path, findings), True


def find_state_directories(path: Path, tables: Mapping[str, Any], *, is_weewx: bool) -> list[Path]:
    """Where the stations of the configuration at ``path`` keep how they are doing; where there are none, nowhere."""
    around = Options(find_table(tables, "MQTTReplicate" if is_weewx else "broker", Findings()), "", Findings())
    sections = find_table(tables, "MQTTReplicate" if is_weewx else "station", Findings())
    names = ("Responder", "Requester") if is_weewx else ("serve", "follow")
    roles = [
        Options(sections[name], name, Findings(), around) for name in names if isinstance(sections.get(name), Mapping)
    ]
    set_here = [text for text in (role.text("state_dir") for role in roles) if text]
    usual = [state_directory(tables) if is_weewx else path.absolute().parent] if len(set_here) < len(roles) else []
    return list(dict.fromkeys([*(Path(text).expanduser() for text in set_here), *usual]))


def with_config(text: str, config: Path) -> str:
    """The commands in ``text`` with the configuration that they need."""
    named = shlex.quote(str(config))
    text = text.replace("samesky repair --stream", f"samesky repair --config {named} --stream")
    return re.sub(r"samesky check --online(?! [/\w'])", lambda found: f"{found.group()} {named}", text)


def with_hint(snapshot: Snapshot, config: Path) -> Snapshot:
    """The snapshot of a stream of ``config``, with its hint as it has to be typed."""
    return replace(snapshot, hint=with_config(snapshot.hint, config)) if snapshot.hint else snapshot


def _is_toml_inside(path: Path) -> bool:
    try:
        return {"broker", "station"} & tomllib.loads(path.read_text(encoding="utf-8")).keys() != set()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def _read_weewx_conf(path: Path, findings: Findings) -> dict[str, Any]:
    try:
        import configobj
    except ImportError as error:
        raise SetupError(
            "reading a weewx.conf needs the library configobj, which isn't installed here",
            hint="Run samesky in WeeWX's Python, or apt install python3-configobj, or pip install configobj",
        ) from error
    try:
        config = configobj.ConfigObj(str(path), file_error=True, encoding="utf-8", default_encoding="utf-8")
    except configobj.ConfigObjError as error:
        mistakes = getattr(error, "errors", None) or [error]
        for mistake in mistakes[:_MOST_LINES]:
            findings.error(f"line {getattr(mistake, 'line_number', '?')}", f"can't be understood: {_words(mistake)}")
        if len(mistakes) > _MOST_LINES:
            findings.error("file", f"{len(mistakes) - _MOST_LINES} more lines can't be understood: is it a weewx.conf?")
        config = getattr(error, "config", None)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} isn't UTF-8: {error.reason} at byte {error.start}") from error
    return {"config_path": str(path), **(_plain(config, "", findings) if config is not None else {})}


def _plain(section: Mapping[str, Any], where: str, findings: Findings) -> dict[str, Any]:
    """Copy a section. A ``%(name)s`` that stands for nothing stays as it is, which is how [Logging] means it."""
    values: dict[str, Any] = {}
    for name in section:
        try:
            value = section[name]
        except Exception as error:  # configobj's interpolation errors, which have no common name of their own
            value = dict.__getitem__(section, name)  # type: ignore[index]
            if where.startswith("MQTTReplicate"):
                findings.error(f"[{where}]", f"{name}: {error}; %(…)s stands for another option of this section")
        values[name] = _plain(value, f"{where}/{name}".strip("/"), findings) if isinstance(value, Mapping) else value
    return values


def _words(mistake: Exception) -> str:
    """configobj's sentence without the line number, which we say ourselves, and without the value: it may be secret.

    A line without ``=`` may be nothing but a secret: one of a key's, or a password that was meant to be an option's.
    """
    key, equals, _ = str(getattr(mistake, "line", "")).strip().partition("=")
    if not equals and not key.startswith("["):
        return "it is neither a [section] nor an option, NAME = VALUE"
    return f"{str(mistake).partition(' at line')[0].rstrip('.')}: {key.strip()!r}"

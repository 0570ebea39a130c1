"""Reading the file: samesky.toml by the standard library, weewx.conf by configobj, as WeeWX itself does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Findings, read_toml
from ..errors import ConfigError, SetupError


def is_toml(path: Path) -> bool:
    """Whether ``path`` is named as a samesky.toml; everything else is taken for a weewx.conf."""
    return path.suffix.lower() == ".toml"


def read_source(path: Path, findings: Findings) -> dict[str, Any]:
    """The file's sections as plain dicts; mistakes within lines are noted.

    Raises `ConfigError` when it can't be read at all, `SetupError` when configobj is needed and isn't there.
    """
    return read_toml(path) if is_toml(path) else _read_weewx_conf(path, findings)


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
        for mistake in getattr(error, "errors", None) or [error]:
            findings.error(f"line {getattr(mistake, 'line_number', '?')}", f"can't be understood: {_words(mistake)}")
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
    """configobj's sentence without the line number, which we say ourselves, and without the value: it may be secret."""
    key = str(getattr(mistake, "line", "")).partition("=")[0].strip()
    return f"{str(mistake).partition(' at line')[0].rstrip('.')}: {key!r}"

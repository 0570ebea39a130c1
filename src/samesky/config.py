"""Reading a configuration, samesky.toml or a section of weewx.conf: every mistake is noted with its file and key.

`Options` wraps one section and notes mistakes in `Findings` instead of raising, so that a user sees all of them at
once; `read_toml` reads samesky.toml. Secrets come from the file, from a file it names (``credential:NAME`` is one that
systemd passes to the service), or from the environment.
"""

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import ConfigError

Severity = Literal["error", "warning", "info"]

CREDENTIAL = "credential:"
_CREDENTIAL_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,255}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a configuration: where it is, what is wrong, what to write."""

    where: str
    what: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Asked:
    """An option that was looked for, set or not: what may be written there, and what is taken when it isn't."""

    where: str
    name: str
    kind: str
    default: str


@dataclass(slots=True)
class Findings:
    """What was found; `raise_errors` ends the reading."""

    found: list[Finding] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    """Which options were looked for: the reference is made of them."""
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    """Section -> all options that mean something there."""

    def error(self, where: str, what: str) -> None:
        """Note a mistake."""
        self._note(Finding(where, what))

    def warn(self, where: str, what: str) -> None:
        """Note something that works but may not be meant."""
        self._note(Finding(where, what, "warning"))

    def tell(self, where: str, what: str) -> None:
        """Note what was looked at and is in order, or is good to know."""
        self._note(Finding(where, what, "info"))

    def include(self, other: "Findings") -> None:
        """Note what ``other`` holds as well."""
        for finding in other.found:
            self._note(finding)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The mistakes."""
        return tuple(each for each in self.found if each.severity == "error")

    def raise_errors(self, what: str) -> None:
        """Raise `ConfigError` with all the mistakes, if there are any."""
        if self.errors:
            raise ConfigError(f"{what}: {self.errors[0]}", problems=tuple(map(str, self.errors)))

    def _note(self, finding: Finding) -> None:
        if finding not in self.found:
            self.found.append(finding)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of samesky.toml; raises `ConfigError` when it can't be read or isn't TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint="Give its path with --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} isn't TOML: {error}", hint="docs/station.md has an example to start from."
        ) from error


def find_table(tables: Mapping[str, Any], name: str, findings: Findings) -> Mapping[str, Any]:
    """The table ``name``; empty when it isn't there, and when something else is, which is noted as a mistake."""
    table = tables.get(name, {})
    if isinstance(table, Mapping):
        return table
    findings.error(name, f"it should be a table: [{name}]")
    return {}


def secret_path(text: str) -> Path:
    """The file that ``text`` names: a path, or ``credential:NAME`` for a credential that systemd passes to the service.

    Raises `ConfigError` for one that it doesn't pass.
    """
    if not text.startswith(CREDENTIAL):
        return Path(text).expanduser()
    name, folder = text.removeprefix(CREDENTIAL), os.environ.get("CREDENTIALS_DIRECTORY")
    if not _CREDENTIAL_NAME.fullmatch(name):
        raise ConfigError(f"{text!r} should be credential:NAME, with letters, digits and . _ - in the name")
    if not folder:
        raise ConfigError(f"{text} is there only for a service of systemd whose unit has LoadCredential={name}:FILE")
    return Path(folder, name)


class Options:
    """A section of options. What it lacks is looked for in the sections around it, as WeeWX users expect."""

    def __init__(
        self, values: Mapping[str, Any], where: str, findings: Findings, parent: "Options | None" = None
    ) -> None:
        self.where = where
        self.findings = findings
        self._values = values
        self._parent = parent
        self._used: set[str] = set()

    def section(self, name: str) -> "Options | None":
        """The subsection ``name``, or None; its missing options are looked for here."""
        values = self._values.get(name)
        if not isinstance(values, Mapping):
            return None
        self._used.add(name)
        return Options(values, _within(self.where, name), self.findings, self)

    def sections(self) -> Iterator[tuple[str, "Options"]]:
        """The subsections that nobody has asked for by name."""
        for name, values in self._values.items():
            if isinstance(values, Mapping) and name not in self._used:
                yield name, Options(values, _within(self.where, name), self.findings, self)

    def warn_unknown(self, known: frozenset[str]) -> None:
        """Note options that mean nothing here, with the name that was perhaps meant."""
        self.findings.known[self.where] = self.findings.known.get(self.where, frozenset()) | known
        for name, value in self._values.items():
            if not isinstance(value, Mapping) and name not in known:
                near = difflib.get_close_matches(name, known, 1)
                self.findings.warn(
                    self.where, f"{name} is no option" + (f"; did you mean {near[0]}?" if near else " here")
                )

    def has(self, name: str) -> bool:
        """Whether the option is set here or around."""
        return self._find(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """The option as text."""
        self._note_asked(name, "text", default)
        return self._text(name, default)

    def _text(self, name: str, default: str = "") -> str:
        value = self._find(name)
        if isinstance(value, list | tuple):  # what holds a comma comes as a list from weewx.conf
            return ", ".join(map(str, value))
        return default if value is None else str(value).strip()

    def own(self, name: str, default: str) -> str:
        """The option of this very section, as text; the sections around it mean something else by the name."""
        self._note_asked(name, "text", default)
        return str(self._values.get(name, default))

    def own_port(self, default: int) -> int:
        """The option ``port`` of this very section."""
        return Options({"port": self.own("port", str(default))}, self.where, self.findings).integer(
            "port", default, 1, 65_535
        )

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """The option as a whole number from ``low`` to ``high``."""
        return int(self._number(name, default, low, high, whole=True))

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """The option as a number from ``low`` to ``high``."""
        return self._number(name, default, low, high, whole=False)

    def flag(self, name: str, default: bool) -> bool:
        """The option as true or false."""
        self._note_asked(name, "true or false", str(default).lower())
        text = self._text(name, str(default)).lower()
        if text in ("true", "yes", "on", "1"):
            return True
        if text not in ("false", "no", "off", "0"):
            self._mistake(name, text, "true or false")
        return False if text in ("false", "no", "off", "0") else default

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """The option, one of ``allowed``."""
        self._note_asked(name, " or ".join(allowed), default)
        text = self._text(name, default).lower()
        if text in allowed:
            return text
        self._mistake(name, text, " or ".join(allowed))
        return default

    def path(self, name: str) -> str | None:
        """The option as the path of a file that can be read; None when it isn't set."""
        self._note_asked(name, "a file, or credential:NAME", "")
        text = self._text(name)
        file = self._find_secret(name, text)
        if file is not None and not os.access(file, os.R_OK):
            self._mistake(name, text, "the path of a file that this user may read")
        return str(file) if file is not None and text.startswith(CREDENTIAL) else text or None

    def secret(self, name: str, variable: str) -> str | None:
        """The option, or the contents of the file that ``<name>_file`` names, or the environment's ``variable``."""
        self._note_asked(name, "text", f"the environment's {variable}")
        self._note_asked(f"{name}_file", "a file, or credential:NAME", "")
        text, file = self._text(name), self._text(f"{name}_file")
        if text and file:
            self.findings.error(self.where, f"{name} and {name}_file are both set: keep one")
        if text:
            return text
        if not file or (file.startswith(CREDENTIAL) and variable in os.environ):
            return os.environ.get(variable)  # for a command by hand, where there are no credentials
        path = self._find_secret(f"{name}_file", file, variable)
        return self._read_secret(f"{name}_file", path) if path is not None else None

    def _find_secret(self, name: str, text: str, variable: str = "") -> Path | None:
        try:
            return secret_path(text) if text else None
        except ConfigError as error:
            instead = f"; by hand set {variable}" if variable else ""
            self.findings.error(self.where, f"{name} = {error}{instead}")
            return None

    def _read_secret(self, name: str, file: Path) -> str | None:
        try:
            mode = file.stat().st_mode
            text = file.read_text(encoding="utf-8").strip()
        except OSError as error:
            self.findings.error(self.where, f"{name} = {file} can't be read: {error.strerror or error}")
            return None
        except UnicodeDecodeError:
            self.findings.error(self.where, f"{name} = {file} can't be read: it isn't UTF-8")
            return None
        if mode & stat.S_IROTH:
            say = self.findings.error if self.flag("strict", False) else self.findings.warn
            say(self.where, f"{name} = {file} can be read by everybody: chmod 600 {file}")
        if not text:
            self.findings.error(self.where, f"{name} = {file} is empty")
        return text or None

    def _number(self, name: str, default: float, low: float, high: float, *, whole: bool) -> float:
        what = "a whole number" if whole else "a number"
        self._note_asked(
            name,
            f"{what} from {low:g} to {high:g}" if high < 1e6 else what,
            str(default) if whole else f"{default:g}",
        )
        text = self._text(name, str(default))
        try:
            number = int(text) if whole else float(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            self._mistake(name, text, f"a number from {low} to {high}")
            return default
        return number

    def _note_asked(self, name: str, kind: str, default: str) -> None:
        self.findings.asked.append(Asked(self.where, name, kind, default))

    def _mistake(self, name: str, text: str, expected: str) -> None:
        self.findings.error(self.where, f"{name} = {text!r} should be {expected}")

    def _find(self, name: str) -> Any:
        if name in self._values and not isinstance(self._values[name], Mapping):
            return self._values[name]
        return self._parent._find(name) if self._parent is not None else None


def _within(where: str, name: str) -> str:
    """``[A] [[B]]`` + ``C`` -> ``[A] [[B]] [[[C]]]``, as weewx.conf writes it; ``a.b`` + ``c`` -> ``a.b.c``."""
    if where and not where.endswith("]"):
        return f"{where}.{name}"
    depth = len(where.split()[-1]) - len(where.split()[-1].lstrip("[")) + 1 if where else 1
    return f"{where} {'[' * depth}{name}{']' * depth}".strip()

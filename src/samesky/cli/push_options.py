"""What the commands at the centre have in common: which database it has, and how the tables are described."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from .configuration import tell_warnings
from .mesh_options import needing

if TYPE_CHECKING:
    from ..push.central_database import CentralDatabase
    from ..push.central_settings import CentralSettings
    from ..push.model import Model

Command = TypeVar("Command", bound=Callable[..., object])
USUAL_CONFIG = Path("samesky.toml")


class Centre(NamedTuple):
    """The configuration of a centre."""

    settings: "CentralSettings"
    model: "Model"


def centre_options(command: Command) -> Command:
    """Add --config, --database and --database-password-file, which `read_centre` takes."""
    options = (
        click.option(
            "-c",
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar="SAMESKY_CONFIG",
            help="A samesky.toml with [push.central] (default: samesky.toml, if it's there).",
        ),
        click.option(
            "--database",
            metavar="URL",
            help="The centre's database: sqlite:///FILE, mysql://USER@HOST/NAME or postgresql://USER@HOST/NAME"
            " (default: central.db in this folder).",
        ),
        click.option(
            "--database-password-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Holds the database's password (or set SAMESKY_CENTRAL_PASSWORD).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_centre(
    config: Path | None,
    database: str | None = None,
    database_password_file: Path | None = None,
    **others: str | None,
) -> Centre:
    """The configuration of a centre; options of the command line (``others``: None for what isn't given) come first.

    Raises `ConfigError` with every mistake.
    """
    from ..config import Findings, read_toml
    from ..push.central_settings import read_central
    from ..push.described import read_model

    if config is None and USUAL_CONFIG.is_file():
        config = USUAL_CONFIG
    findings, tables = Findings(), read_toml(config) if config is not None else {}
    password = database_password_file.read_text(encoding="utf-8").strip() if database_password_file else None
    given = {"database": database, "database_password": password, **others}
    settings = read_central(tables, findings, given={name: each for name, each in given.items() if each is not None})
    push = tables.get("push")
    model = read_model(push.get("model") if isinstance(push, dict) else None, findings)
    tell_warnings(findings, "samesky")
    findings.raise_errors(str(config or "command line"))
    return Centre(settings, model)


@contextmanager
def open_central(centre: Centre) -> Iterator["CentralDatabase"]:
    """The centre's database, its tables made or migrated. Raises `ConfigError`, `Unreachable` and `DataError`."""
    with needing("sqlalchemy", "push"):
        from ..push.central_database import CentralDatabase
        from ..push.databases import Database
    with Database(centre.settings.database, password=centre.settings.password) as database:
        central = CentralDatabase(database, centre.model)
        central.ensure_schema()
        yield central

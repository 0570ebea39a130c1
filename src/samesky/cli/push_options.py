"""What the commands at the centre have in common: which database it has, and how the tables are described."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

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


def read_centre(config: Path | None, database: str | None = None, database_password_file: Path | None = None) -> Centre:
    """The configuration of a centre, the options of the command line before the file's.

    Raises `ConfigError` with every mistake in the file.
    """
    from ..config import Findings, read_toml
    from ..push.central_settings import read_central

    if config is None and USUAL_CONFIG.is_file():
        config = USUAL_CONFIG
    findings, tables = Findings(), read_toml(config) if config is not None else {}
    settings, model = read_central(tables, findings), _read_model(tables, findings)
    findings.raise_errors(str(config))
    if database is not None:
        settings = replace(settings, database=database)
    if database_password_file is not None:
        settings = replace(settings, password=database_password_file.read_text(encoding="utf-8").strip())
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


def _read_model(tables: object, findings: object) -> "Model":
    from ..push.building import BUILDING

    return BUILDING

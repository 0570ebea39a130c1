"""Where a binding's database is, according to weewx.conf; WeeWX itself isn't needed for it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Findings, Options
from .location import Location, MysqlLocation, SqliteLocation


def read_weewx_location(config: Mapping[str, Any], binding: str, findings: Findings) -> Location | None:
    """Location of ``binding`` by [DataBindings], [Databases], [DatabaseTypes]; None when a mistake was noted."""
    section = _section(config, "DataBindings").get(binding)
    if not isinstance(section, Mapping):
        known = ", ".join(_section(config, "DataBindings")) or "none"
        findings.error("[DataBindings]", f"there is no binding {binding}; those there are: {known}")
        return None
    name = str(section.get("database", "archive_sqlite"))
    database = _section(config, "Databases").get(name)
    if not isinstance(database, Mapping):
        findings.error(f"[DataBindings] [[{binding}]]", f"database = {name} isn't in [Databases]")
        return None
    merged = {**_section(config, "DatabaseTypes", str(database.get("database_type"))), **database}
    table = str(section.get("table_name", "archive"))
    return _location(merged, table, config, Options(merged, f"[Databases] [[{name}]]", findings))


def _location(database: Mapping[str, Any], table: str, config: Mapping[str, Any], options: Options) -> Location | None:
    driver = str(database.get("driver", ""))
    name = str(database.get("database_name", ""))
    if driver.endswith("sqlite"):
        root = weewx_root(config) / os.path.expanduser(str(database.get("SQLITE_ROOT", database.get("root", ""))))
        return SqliteLocation(root / os.path.expanduser(name), table)
    if driver.endswith("mysql"):
        return MysqlLocation(
            database=name,
            host=options.own("host", "localhost"),
            port=options.own_port(3306),
            user=options.own("user", ""),
            password=str(database.get("password", "")),
            table=table,
        )
    options.findings.error(options.where, f"driver = {driver!r} should be weedb.sqlite or weedb.mysql")
    return None


def read_toml_location(options: Options) -> Location | None:
    """Location that a binding's table in samesky.toml gives: ``sqlite = "<path>"`` or a table ``mysql``."""
    table = options.text("table", "archive")
    mysql = options.section("mysql")
    sqlite = options.own("sqlite", "")
    if sqlite and mysql is None:
        return SqliteLocation(Path(sqlite).expanduser(), table)
    if mysql is None or sqlite:
        options.findings.error(options.where, 'name the database: sqlite = "<path>" or mysql = { database = "…" }')
        return None
    if not mysql.own("database", ""):
        options.findings.error(mysql.where, "database is missing")
    return MysqlLocation(
        database=mysql.own("database", ""),
        host=mysql.own("host", "localhost"),
        port=mysql.own_port(3306),
        user=mysql.own("user", ""),
        password=mysql.secret("password", "SAMESKY_MYSQL_PASSWORD") or "",
        table=table,
    )


def weewx_root(config: Mapping[str, Any]) -> Path:
    """WEEWX_ROOT, absolute: relative to the configuration's folder, as WeeWX 5 has it."""
    folder = Path(str(config.get("config_path", "weewx.conf"))).absolute().parent
    return folder / os.path.expanduser(str(config.get("WEEWX_ROOT", "")))


def state_directory(config: Mapping[str, Any]) -> Path:
    """Where what we remember is kept by default: the folder of WeeWX's SQLite databases."""
    sqlite = _section(config, "DatabaseTypes", "SQLite")
    return weewx_root(config) / os.path.expanduser(str(sqlite.get("SQLITE_ROOT", "archive")))


def _section(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The section that ``names`` lead to, one in the other; empty when there is none."""
    for name in names:
        found = config.get(name)
        config = found if isinstance(found, Mapping) else {}
    return config

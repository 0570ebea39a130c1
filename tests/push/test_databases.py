"""Databases of three kinds are opened with safe settings, and their troubles have our words."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url

from samesky.errors import ConfigError, DataError, Locked, SameskyError, Unreachable
from samesky.push import databases
from samesky.push.databases import Database, describe_url
from stands.mariadb import MariadbServer
from stands.ports import free_port
from stands.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow
on_servers = pytest.mark.parametrize("database_url", ["mysql", "postgresql"], indirect=True)  # a file has none of this


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as opened:
        with opened.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE thing (id INTEGER PRIMARY KEY, number INTEGER)")
            connection.exec_driver_sql("INSERT INTO thing VALUES (1, 1)")
        yield opened


def read_number(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.exec_driver_sql("SELECT number FROM thing WHERE id = 1").scalar_one())


def write_number(database: Database, number: int) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE thing SET number = {number} WHERE id = 1")


def test_an_address_is_told_without_its_password() -> None:
    assert describe_url("mysql://me:se%40cret@db.example/ch?connect_timeout=1") == "mysql://me@db.example/ch"
    assert describe_url("postgresql+psycopg2://me:secret@db:5433/ch") == "postgresql://me@db:5433/ch"
    assert describe_url("sqlite:////var/lib/ch.db") == "sqlite:////var/lib/ch.db"
    assert "secret" not in describe_url("oracle://me:secret@db/ch") + describe_url("secret")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ch.db",
        "oracle://me:secret@host/db",
        "mysql://me:secret@host",
        "mysql://me:secret@host:port/db",
        "mysql://me:secret@host/db?local_infile=1",
        "mysql://me:secret@host/db?connect_timeout=soon",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://here/ch.db",
    ],
)
def test_an_address_that_is_none_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert "secret" not in f"{caught.value} {caught.value.hint} {caught.value.problems}"


def test_the_seeds_local_address_is_understood() -> None:
    with Database("mysql+oursql://chuser@localhost/ch?connect_timeout=1&charset=utf8") as database:
        assert (database.dialect, database.name) == ("mysql", "mysql://chuser@localhost/ch")


def test_what_is_written_is_committed_at_the_end_and_rolled_back_by_an_exception(database: Database) -> None:
    write_number(database, 2)

    def fail_midway() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("UPDATE thing SET number = 3 WHERE id = 1")
            raise KeyError

    with pytest.raises(KeyError):
        fail_midway()
    assert read_number(database) == 2


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    query = "SELECT number FROM thing WHERE id = 1"
    with database.reading() as connection:
        assert connection.exec_driver_sql(query).scalar() == 1
        write_number(database, 2)
        assert connection.exec_driver_sql(query).scalar() == 1
    assert read_number(database) == 2


@on_servers
def test_a_reader_can_not_write(database: Database) -> None:
    with pytest.raises(SameskyError), database.reading() as connection:
        connection.exec_driver_sql("UPDATE thing SET number = 3 WHERE id = 1")
    assert read_number(database) == 1


def test_a_database_that_is_read_only_refuses_to_write(database: Database, database_url: str) -> None:
    with Database(database_url, read_only=True) as site:
        assert read_number(site) == 1
        with pytest.raises(ConfigError, match="read only"):
            write_number(site, 2)
    assert read_number(database) == 1


def test_a_file_that_is_read_only_keeps_its_journal_mode_and_can_not_be_changed_by_any_way(tmp_path: Path) -> None:
    path = tmp_path / "site.sdb"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, number INTEGER)")
    before = path.read_bytes()
    with Database(f"sqlite:///{path}", read_only=True) as site:
        with pytest.raises(SameskyError), site.reading() as connection:
            connection.exec_driver_sql("INSERT INTO thing VALUES (1, 1)")
        with site.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    assert path.read_bytes() == before


def test_a_file_that_isnt_there_is_made_by_who_writes_alone(tmp_path: Path) -> None:
    path = tmp_path / "neue Datei #ü.sdb"
    with Database(f"sqlite:///{path}", read_only=True) as site, pytest.raises(ConfigError), site.reading():
        pass
    assert not list(tmp_path.iterdir())
    with Database(f"sqlite:///{path}") as centre, centre.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE thing (id INTEGER PRIMARY KEY)")
    assert path.exists()


def test_a_duplicate_key_is_an_error_of_data_that_quotes_no_values(database: Database) -> None:
    with pytest.raises(DataError) as caught, database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO thing VALUES (1, 1)")
    assert type(caught.value) is DataError
    with pytest.raises(DataError), database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO nothing VALUES (1, 1)")


@on_servers
def test_a_number_that_doesnt_fit_is_refused_and_never_cut_short(database: Database) -> None:
    with pytest.raises(DataError), database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO thing VALUES (2, 3000000000)")


def test_who_waits_too_long_for_anothers_lock_is_told_to_do_it_again(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "LOCK_TIMEOUT_S", 1)
    with Database(database_url) as other, database.writing() as connection:
        connection.exec_driver_sql("UPDATE thing SET number = 2 WHERE id = 1")
        with pytest.raises(Locked) as caught:
            write_number(other, 3)
    assert caught.value.transient
    assert read_number(database) == 2


@on_servers
def test_of_two_who_wait_for_each_other_one_is_told_to_do_it_again(database: Database) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO thing VALUES (2, 2)")
    both_hold_one = threading.Barrier(2)
    caught: list[SameskyError] = []

    def change(first: int, second: int) -> None:
        try:
            with database.writing() as connection:
                connection.exec_driver_sql(f"UPDATE thing SET number = 7 WHERE id = {first}")
                both_hold_one.wait(60)
                connection.exec_driver_sql(f"UPDATE thing SET number = 7 WHERE id = {second}")
        except SameskyError as error:
            caught.append(error)

    threads = [threading.Thread(target=change, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in caught] == [Locked]


def test_times_are_utc_and_a_writer_sees_what_others_committed(database: Database) -> None:
    with database.writing() as connection:
        if database.dialect == "mysql":
            assert connection.exec_driver_sql("SELECT @@time_zone").scalar() == "+00:00"
        if database.dialect == "postgresql":
            assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
        if database.dialect != "sqlite":
            assert connection.exec_driver_sql("SELECT number FROM thing").scalar() == 1
            write_number(database, 2)
            assert connection.exec_driver_sql("SELECT number FROM thing").scalar() == 2


def test_a_file_is_written_with_a_log_and_waits_for_the_disk(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path / 'centre.sdb'}") as database, database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_server_that_isnt_there_is_unreachable(scheme: str) -> None:
    url = f"{scheme}://me:secret@127.0.0.1:{free_port()}/db"
    with Database(url) as database, pytest.raises(Unreachable) as caught, database.reading():
        pass
    assert "secret" not in str(caught.value)
    assert caught.value.hint


def test_a_wrong_password_and_a_wrong_name_are_for_the_user_to_mend(
    mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    made, other = mariadb.create_database(), postgresql.create_database()
    for url in (f"mysql://{made.user}:{made.password}@{made.host}:{made.port}/{made.name}", other.url):
        for wrong in (
            make_url(url).set(password="guess").render_as_string(hide_password=False),
            make_url(url).set(database="mysql_nowhere").render_as_string(hide_password=False),
        ):
            with Database(wrong) as database, pytest.raises(ConfigError) as caught, database.reading():
                pass
            assert "guess" not in str(caught.value)
            assert "secret" not in str(caught.value)


def test_a_password_that_comes_by_itself_may_hold_any_character(
    mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    password = "a@b:c/d?e#f%41 ü"
    mysql, other = mariadb.create_database(), postgresql.create_database()
    mariadb.execute(f"SET PASSWORD FOR '{mysql.user}'@'%' = PASSWORD('{password}')")
    postgresql.execute(f"ALTER USER {other.user} PASSWORD '{password}'")
    for url in (
        f"mysql://{mysql.user}@{mysql.host}:{mysql.port}/{mysql.name}",
        f"postgresql://{other.user}@{other.host}:{other.port}/{other.name}",
    ):
        with Database(url, password=password) as database, database.reading() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@on_servers
def test_connections_that_the_server_ended_are_made_again(
    database: Database, database_url: str, mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    assert read_number(database) == 1
    if database.dialect == "mysql":
        # Those of this test alone: one that another test has just closed may be listed still, and gone at the KILL.
        user = make_url(database_url).username
        ids = mariadb.execute(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'")
        mariadb.execute(*(f"KILL {number}" for (number,) in ids))
    if database.dialect == "postgresql":
        postgresql.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename LIKE 'samesky%_user'"
        )
    assert read_number(database) == 1


@on_servers
def test_a_connection_that_ends_in_the_middle_is_unreachable(
    database: Database, mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    def write_while_it_ends() -> None:
        with database.writing() as connection:
            if database.dialect == "mysql":
                number = connection.exec_driver_sql("SELECT connection_id()").scalar()
                mariadb.execute(f"KILL {number}")
            else:
                number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
                postgresql.execute(f"SELECT pg_terminate_backend({number}, 60000)")
            connection.exec_driver_sql("UPDATE thing SET number = 9 WHERE id = 1")

    with pytest.raises(Unreachable):
        write_while_it_ends()
    assert read_number(database) == 1


def test_what_a_driver_raises_by_itself_has_our_words_too(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path / 'centre.sdb'}") as database:
        with pytest.raises(Unreachable), database.worded():
            raise pymysql.err.OperationalError(2013, "Lost connection")
        with pytest.raises(DataError, match="no such table"), database.worded():
            raise sqlite3.OperationalError("no such table: x")
        with pytest.raises(ValueError, match="mine"), database.worded():
            raise ValueError("mine")


def test_a_file_that_is_missing_is_told_as_a_file_though_a_servers_password_was_left(tmp_path: Path) -> None:
    with (
        Database(f"sqlite:///{tmp_path}/nothing.db", password="a server's", read_only=True) as site,
        pytest.raises(ConfigError, match="unable to open") as caught,
        site.reading(),
    ):
        pass
    assert caught.value.hint == "Check that the file is there, and that this user may read it and its folder."

"""Transactions that another one was in the way of are done again; others fail at once, and leave nothing."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from samesky.errors import DataError, Locked
from samesky.push.databases import Database
from samesky.push.transactions import TRIES, Transactions


@pytest.fixture
def transactions(tmp_path: Path) -> Iterator[Transactions]:
    with Database(f"sqlite:///{tmp_path / 'a.db'}") as database:
        made = Transactions(database)
        made.write(lambda connection: connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER)"))
        yield made


def count(transactions: Transactions) -> int:
    asked = "SELECT count(*) FROM numbers"
    return int(transactions.read(lambda connection: connection.exec_driver_sql(asked).scalar_one()))


def add(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO numbers VALUES (1)")


def test_a_transaction_that_was_in_anothers_way_is_done_again_from_the_beginning(transactions: Transactions) -> None:
    tries = []

    def work(connection: Connection) -> str:
        add(connection)
        tries.append(True)
        if len(tries) < 3:
            raise Locked("deadlock")
        return "done"

    assert transactions.write(work) == "done"
    assert count(transactions) == 1


def test_after_some_tries_it_is_given_up(transactions: Transactions) -> None:
    tries = []

    def work(connection: Connection) -> None:
        add(connection)
        tries.append(True)
        raise Locked("deadlock")

    with pytest.raises(Locked):
        transactions.write(work)
    assert len(tries) == TRIES
    assert count(transactions) == 0


def test_what_fails_otherwise_isnt_tried_again_and_leaves_nothing(transactions: Transactions) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(True)
        add(connection)
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(DataError):
        transactions.write(work)
    assert (len(tries), count(transactions)) == (1, 0)


def test_many_threads_that_write_at_once_take_turns(transactions: Transactions) -> None:
    threads = [threading.Thread(target=transactions.write, args=(add,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert count(transactions) == 30

"""A status adds up its tables, and its line in the log says what matters."""

from dataclasses import replace

from samesky.push.proof import Proof
from samesky.push.status import PushStatus, TableStatus

PROOF = Proof(table="Reading", same=True, rows=5, rows_at_centre=5, digest="00", at=2.0, from_s=0, to_s=9)
READING = TableStatus(table="Reading", position=(5, 69, 1), backlog=7, proof=PROOF)
STATES = TableStatus(table="NodeState", backlog=3)
STATUS = PushStatus(target="a", url="https://a", state="idle", at=3.0, since=2.5, tables=(READING, STATES))


def test_the_backlog_is_that_of_all_tables_or_unknown() -> None:
    assert STATUS.backlog == 10
    assert replace(STATUS, tables=(READING, replace(STATES, backlog=None))).backlog is None
    assert replace(STATUS, tables=()).backlog is None


def test_all_is_well_unless_something_differs_was_refused_or_went_wrong() -> None:
    assert STATUS.is_well
    assert not replace(STATUS, last_error="the centre is gone").is_well
    assert not replace(STATUS, refused_dimensions=("House 5",)).is_well
    assert not replace(STATUS, tables=(replace(READING, quarantined={"past": 1}),)).is_well
    assert not replace(STATUS, tables=(replace(READING, proof=replace(PROOF, same=False)),)).is_well


def test_a_line_in_the_log_has_the_figures_and_no_line_break() -> None:
    assert STATUS.describe() == "target=a state=idle backlog=10 sent=0 same=true quarantined=0"
    broken = replace(STATUS, last_error="two\nlines", tables=(replace(STATES, backlog=None),))
    assert broken.describe() == 'target=a state=idle backlog=- sent=0 same=- quarantined=0 error="two\\nlines"'

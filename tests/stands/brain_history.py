"""A seeded history of two brains (`brains`): trouble, hands that write on both sides, and what must be true of it all.

Whatever happens, the copy writes nothing that the primary never had, undoes no edit, deletes little, and proves nothing
that isn't so. Once peace has come it is equal to the primary, knows it, and is quiet. Each has its kind of `Failure`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import pytest

from samesky.station import check_answers, check_session
from samesky.station.check_question import TreeName
from samesky.station.checker import Proven

from .brain_tables import DAY_S, Database, Row, day_of
from .brains import ANSWERS, LIVE, REQUESTS, SUMMARIES, Copy, Judge, Primary
from .history import START, find_lost
from .small_network import LATEST_DUPLICATE_S, Network

FAULTS = (1, 2, 4, 10)
INTERVAL_S = 120
POSITION_ALONE = 5
"""Every so many histories have no checks."""
PEACE_WITHIN_S = 5400
"""A broken connection takes up to 300 s; after that the next check, or one that was given up, up to an hour."""
QUIET_S = (600, 600, 600, 7200)
MESSAGES_AN_HOUR = 24
"""Nine pages and three roots at most, each asked for and answered."""
FIRST_MESSAGES = 16
"""What a connection that comes back asks, and the end of a check under way."""
MOST_DELETIONS = 100
PAST_DAYS = (1, 2, 40, 90, 1500)
TREES: tuple[TreeName, ...] = ("archive", "summary")


class Failure(AssertionError):
    """Something that must not be."""


class NotEqual(Failure):
    """The copy isn't as the primary is."""


class NotQuiet(Failure):
    """The two go on talking."""


class NotProven(Failure):
    """They are equal, and the copy doesn't know."""


class PassedOver(Failure):
    """A record before the copy's newest one is missing, and there are no checks that would find it."""


class NotMended(Failure):
    """A check has left some of what differed, though nobody wrote meanwhile."""


class FalseProof(Failure):
    """The copy believes itself equal and isn't."""


class Invented(Failure):
    """A row was written that the primary never had."""


class WentBack(Failure):
    """A row was replaced by an earlier version of itself."""


class TooEarly(Failure):
    """A check has written a record later than the moment that it is about, or a day that isn't over."""


class WrongDeletion(Failure):
    """A row that the primary has was deleted, or more than may be."""


class NotHeld(Failure):
    """The primary lost most of its rows, and the copy didn't stop."""


class History:
    """One history, and the judge over what the copy does in it."""

    def __init__(self, seed: int, *, checks: bool = True, long_digests: bool = True) -> None:
        """Without ``checks`` the copy has its position alone, and no hand writes anywhere."""
        self.checks = self._hands_write = checks
        self._long_digests = long_digests
        self.random = Random(seed)
        self.draw = self.random.random
        self.network = Network(self.random, now=START)
        self.primary_data, self.copy_data = Database(), Database()
        self.judge: Judge = self
        self.trouble = self.patient = True
        self._late: set[int] = set()
        self._hand_writes = 0
        self._versions: dict[tuple[TreeName, int], list[Row]] = {}
        self._begun = (0, 0, 0)
        self._first_different: TreeName | None = None
        self._until = 0
        self._last_proof: Proven | None = None
        self._archive_past()
        if self.draw() < 0.7:
            for tree, table in self.copy_data.tables.items():
                table.take_from(self.primary_data.tables[tree])
        self.network.add("primary", [REQUESTS], lambda: Primary(self))
        self._copy = self.network.add("copy", [ANSWERS, LIVE, SUMMARIES], lambda: Copy(self))

    def _archive_past(self) -> None:
        """Some records of long ago, so that the trees have several branches."""
        for days in self.random.sample(PAST_DAYS, self.random.randrange(4)):
            for number in range(self.random.choice((1, 3))):
                self._archive_row(START - days * DAY_S + number * self.random.choice((1, 60, 5000)))
        for number in range(self.random.choice((0, 1, 4, 12, 30))):
            self._archive_row(START - INTERVAL_S * number)

    def _archive(self) -> None:
        """What the station does every five minutes, now and then one record late."""
        if not self._growing:
            return
        self.network.at(self.network.now + INTERVAL_S, self._archive)
        time = int(self.network.now)
        if self.draw() < 0.9:
            self._archive_live(time)
        if self.draw() < 0.1:
            self._archive_live(time - 60 * self.random.randrange(1, 300) - 1)

    def _archive_live(self, time: int) -> None:
        if time in self.primary_data.records.rows:
            return
        if time < self.primary_data.position:
            self._late.add(time)
        self._archive_row(time)
        process = self.network.places["primary"].process
        if isinstance(process, Primary):
            process.publish_record(time)

    def _archive_row(self, time: int) -> None:
        value = self.draw()
        self._write("archive", time, (value, self.random.choice((0.0, 0.5))))
        day = day_of(time)
        count = self.primary_data.days.rows.get(day, (0, 0))[1]
        self._write("summary", day, (value, count + 1))

    def _write(self, tree: TreeName, time: int, row: Row) -> None:
        self._versions.setdefault((tree, time), []).append(row)
        self.primary_data.put(tree, time, row)

    # ------------------------------------------------------------------ what goes wrong

    def live_through_faults(self, faults: int) -> None:
        """Let so many things go wrong while the primary archives; then all works again."""
        network, chance, self.trouble, self._growing = self.network, self.random, True, True
        network.loss = chance.choice((0.0, 0.05, 0.2))
        network.duplicate = chance.choice((0.0, 0.05, 0.2))
        network.delay_s = chance.choice((0.0, 0.2, 2.0, 12.0))
        network.queue = chance.choice((3, 50, 1000))
        passed_s = network.now - START
        network.at(START + (passed_s // INTERVAL_S + 1) * INTERVAL_S, self._archive)
        for _ in range(faults):
            network.run(network.now + chance.choice((0.3, 7.0, 60.0, 200.0)))
            self.do_harm()
            self.expect_nothing_passed_over()
        self.trouble = self._growing = False
        network.loss = network.duplicate = 0.0
        network.delay_s, network.queue = 0.05, 1000

    def settle(self, *, for_s: float) -> None:
        """Let time pass."""
        self.network.run(self.network.now + for_s)

    def do_harm(self) -> None:
        """A process ends, a connection breaks, the broker forgets, somebody writes into a database."""
        match self.random.randrange(14 if self._hands_write else 7):
            case 0 | 1:
                self.network.end("copy", for_s=self.random.choice((0.0, 3.0, 60.0)))
            case 2:
                self.network.end("primary", for_s=self.random.choice((0.0, 3.0, 60.0)))
            case 3:
                self.network.restart(forget=self.draw() < 0.5, for_s=self.random.choice((1.0, 60.0)))
            case 4 | 5 | 6:
                name = self.random.choice(("copy", "copy", "primary"))
                self.network.drop(name, for_s=self.random.choice((1.0, 30.0, 300.0)))
            case _:
                self._write_somewhere()

    def _write_somewhere(self) -> None:
        """Change a record or a day at one side."""
        tree: TreeName = "archive" if self.draw() < 0.7 else "summary"
        side = self.primary_data if self.draw() < 0.5 else self.copy_data
        times = sorted(side.tables[tree].rows)
        if len(times) < 3:
            return
        if self.draw() < 0.5:
            times = times[-3:]
        time = self.random.choice(times)
        row = side.tables[tree].rows[time]
        match self.random.randrange(4):
            case 0 | 1:
                self._write_by_hand(side, tree, time, self._edited(row))
            case 2:
                self._hand_writes += 1
                side.remove(tree, time)
            case 3 if tree == "archive":
                self._write_by_hand(side, tree, time + self.random.randrange(1, 300), self._edited(row))
            case 3:
                self._write_by_hand(side, tree, time - DAY_S, row)

    def _edited(self, row: Row) -> Row:
        """With another value in one of its columns."""
        return (row[0], row[1] + self.draw()) if self.draw() < 0.5 else (self.draw(), row[1])

    def _write_by_hand(self, side: Database, tree: TreeName, time: int, row: Row) -> None:
        self._hand_writes += 1
        if side is self.primary_data:
            self._write(tree, time, row)
        else:
            side.put(tree, time, row)

    def lose_most(self) -> set[int]:
        """A primary that was restored from a backup: returns the times of the records that are gone."""
        self.patient = self._hands_write = False
        times = sorted(self.primary_data.records.rows)
        lost = times[min(int(len(times) * self.random.choice((0.0, 0.3, 0.8))), len(times) - 3) :]
        for time in lost:
            self.primary_data.remove("archive", time)
        return set(lost)

    # ------------------------------------------------------------------ what the copy does

    def writes(self, tree: TreeName, time: int, row: Row) -> None:
        """See `Judge`."""
        versions = self._versions.get((tree, time), [])
        if row not in versions:
            raise Invented(f"{tree} {time}: {row} was written, which the primary never had")
        before = self.copy_data.tables[tree].rows.get(time)
        if tree == "archive" and before in versions and versions.index(row) < versions.index(before):
            raise WentBack(f"{tree} {time}: {before} was replaced by {row}, which is older")

    def deletes(self, tree: TreeName, times: Sequence[int], allowed: int) -> None:
        """See `Judge`."""
        limit = max(1, min(MOST_DELETIONS, len(self.copy_data.records.rows) // 100), allowed)
        if len(times) > limit:
            raise WrongDeletion(f"{len(times)} deletions, where {limit} are allowed")
        there = [time for time in times if time in self.primary_data.tables[tree].rows]
        if there and self._begun[0] == self.primary_data.changes:
            raise WrongDeletion(f"{tree} {there[0]} was deleted, which the primary has")

    def begins(self, until: int) -> None:
        """See `Judge`."""
        self._until = until
        self._begun = (self.primary_data.changes, self.copy_data.changes, self._hand_writes)
        self._first_different = next(iter(self._differing_trees(until)), None)

    def mends(self, tree: TreeName, times: Sequence[int]) -> None:
        """See `Judge`: what is newer than the copy's position would hide a hole before it."""
        latest = self._until if tree == "archive" else self._until - DAY_S
        if max(times) > latest:
            raise TooEarly(f"{tree} {max(times)} was written by a check up to {latest}")

    def ends(self) -> None:
        """See `Judge`: what a check finds first it mends, unless somebody wrote meanwhile or digests were short."""
        nobody_wrote = (self._begun[0], self._begun[2]) == (self.primary_data.changes, self._hand_writes)
        if nobody_wrote and self._long_digests and self._first_different in self._differing_trees(self._until):
            raise NotMended(f"the {self._first_different} is still different after a check")

    def proves(self, proof: Proven) -> None:
        """See `Judge`."""
        self._last_proof = proof
        if self._begun[:2] != (self.primary_data.changes, self.copy_data.changes):
            return  # equal then, but perhaps not now
        if self._differing_trees(proof.through) or proof.count != len(self.primary_data.upto(proof.through)[0]):
            raise FalseProof(f"{proof} isn't so")

    def _differing_trees(self, until: int) -> list[TreeName]:
        ours, theirs = self.primary_data.upto(until), self.copy_data.upto(until)
        return [name for name, one, other in zip(TREES, ours, theirs, strict=True) if one != other]

    # ------------------------------------------------------------------ what must come of it

    def live(self) -> None:
        """Live from the first fault to the last hour of quiet; raises `Failure`."""
        self.live_through_faults(self.random.choice(FAULTS))
        self.expect_equal()
        if self.checks and self.draw() < 0.1 and len(self.primary_data.records.rows) > 4:
            self.expect_held()
        else:
            self.expect_quiet()

    def expect_equal(self) -> None:
        """Within a bounded time the copy is as the primary is."""
        self.settle(for_s=LATEST_DUPLICATE_S)  # until then a record that was deleted may come once more
        deadline = self.network.now + PEACE_WITHIN_S
        while (difference := self.find_difference()) is not None:
            if self.network.now > deadline:
                raise NotEqual(f"{difference}, after {PEACE_WITHIN_S} s of peace")
            self.settle(for_s=300)

    def expect_quiet(self) -> None:
        """Two sides that are equal say little, and know it."""
        quiet_s = self.random.choice(QUIET_S)
        before, self._last_proof = self.network.sent, None
        self.settle(for_s=quiet_s)
        sent = self.network.sent - before
        if sent > FIRST_MESSAGES + MESSAGES_AN_HOUR * quiet_s / 3600:
            raise NotQuiet(f"{sent} messages in {quiet_s} quiet seconds")
        if (difference := self.find_difference()) is not None:
            raise NotEqual(f"{difference}, after {quiet_s} quiet seconds")
        if self.checks and quiet_s == max(QUIET_S):
            self._expect_proven()

    def _expect_proven(self) -> None:
        through, count = self.primary_data.position, len(self.primary_data.records.rows)
        if not count:
            return
        if self._last_proof is None or self._last_proof.through < through or self._last_proof.count != count:
            raise NotProven(f"{count} records are the same, up to {through}; known is {self._last_proof}")

    def expect_held(self) -> None:
        """A primary that has lost most of its rows takes none from the copy, whatever happens."""
        lost = self.lose_most()
        self.live_through_faults(3)
        deadline = self.network.now + PEACE_WITHIN_S
        while not self._is_held() and self.network.now < deadline:
            self.settle(for_s=300)
        self.settle(for_s=300)
        if not lost <= self.copy_data.records.rows.keys():
            raise WrongDeletion("rows were deleted that the primary lost")
        if not self._is_held():
            raise NotHeld("the primary has lost most of its rows, and the copy goes on checking")

    def _is_held(self) -> bool:
        process = self._copy.process
        return isinstance(process, Copy) and process.checker.phase == "held"

    def expect_nothing_passed_over(self) -> None:
        """Before the copy's newest record nothing is missing, for nobody would ask for it."""
        if not self.checks:
            lost = find_lost(self.primary_data.records.rows, self.copy_data.records.rows, but=self._late)
            if lost:
                raise PassedOver(f"{len(lost)} records were passed over, from {lost[0]}")

    def find_difference(self) -> str | None:
        """The first difference there is, in words; of what a position can't see, none."""
        self.expect_nothing_passed_over()
        until = max(self.primary_data.position, self.copy_data.position)
        for name, ours, theirs in zip(TREES, self.primary_data.upto(until), self.copy_data.upto(until), strict=True):
            unseen = set() if self.checks else self._late - theirs.keys() if name == "archive" else ours.keys()
            for time in sorted((ours.keys() | theirs.keys()) - unseen):
                if ours.get(time) != theirs.get(time):
                    return f"{name} {time} is {ours.get(time)} at the primary, {theirs.get(time)} at the copy"
        return None


@contextmanager
def limits(chance: Random) -> Iterator[bool]:
    """In some histories questions and answers are cut after a few spans and rows, in some digests are short.

    Yields whether they are long.
    """
    with pytest.MonkeyPatch.context() as patch:
        if chance.random() < 0.4:
            patch.setattr(check_session, "MOST_TOPS", chance.choice((1, 2)))
            patch.setattr(check_session, "MOST_LEAVES", chance.choice((1, 3)))
            patch.setattr(check_session, "MOST_ENTRIES", chance.choice((1, 5)))
            patch.setattr(check_answers, "MOST_ROWS", chance.choice((1, 5)))
            patch.setattr(check_answers, "MAX_LIST_BYTES", chance.choice((72, 150)))
        short_digests = chance.random() < 0.2
        if short_digests:
            for module in (check_session, check_answers):
                patch.setattr(module, "size_for", lambda spans: 2)
            patch.setattr(check_session, "size_for_rows", lambda rows, leaves: 2)
        yield not short_digests


def live_a_life(seed: int) -> None:
    """Live the history of that seed, every fifth without checks; a failure says how to repeat it."""
    with limits(Random(seed)) as long_digests:
        try:
            History(seed, checks=seed % POSITION_ALONE > 0, long_digests=long_digests).live()
        except BaseException as failure:
            failure.add_note(f"SAMESKY_HISTORY_SEED={seed} SAMESKY_HISTORIES=1 repeats it")
            raise

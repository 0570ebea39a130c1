"""What signatures cost: a message of each kind by itself, and a catch-up with them against one without."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from samesky.link.message import Message
from samesky.station.messages import encode_record
from samesky.station.signatures import Signing, Trust, TrustSettings
from samesky.station.signing_keys import SecretKey, make_key

from ..claims import Claim, same
from .databases import make_year
from .files import catch_up, compare
from .talk import STREAM

LEAST_SHARE = 0.85
MOST_LIVE_US = 250.0
"""To sign a live record and to check it, of the 500 that 2,000 records a second leave for each."""
RUNS = 3


def measure(folder: Path, *, records: int) -> list[Claim]:
    """Single messages, then ``records`` records of wview_extended, SQLite to SQLite, alternately with and without."""
    key, trusted = make_key("home"), folder / "trusted-keys"
    trusted.write_text(f"{key.public.line}\n")
    return [*_measure_messages(key, trusted), *_measure_catch_up(folder, key, trusted, records)]


def _measure_messages(key: SecretKey, trusted: Path) -> list[Claim]:
    values = {f"column{number}": number / 7 for number in range(50)}
    now = int(time.time())
    record = {"dateTime": now, "usUnits": 1, "interval": 5, **values}
    live = encode_record("archive", STREAM, record, qos=1, previous=now - 300, origin="o")
    page = Message("answer", os.urandom(1 << 20), properties=(("data_binding", STREAM), ("samesky", "2")))
    claims = []
    for what, message, count in (("a live record", live, 2000), ("a page of a mebibyte", page, 50)):
        signing, trust = Signing(key), Trust(TrustSettings(trusted))
        signed = [signing.sign(message, "record") for _ in range(count)]
        sign_us = _us_each(count, lambda _, message=message, signing=signing: signing.sign(message, "record"))  # type: ignore[misc]
        check_us = _us_each(count, lambda number, signed=signed, trust=trust: trust.check(signed[number], "record"))  # type: ignore[misc]
        claims += [Claim(f"{what}: signed", sign_us, "µs"), Claim(f"{what}: checked", check_us, "µs")]
    both = claims[0].value + claims[1].value
    return [*claims, Claim("a live record: both ends together", both, "µs", at_most=MOST_LIVE_US)]


def _us_each(count: int, work: Callable[[int], object]) -> float:
    start = time.process_time()
    for number in range(count):
        work(number)
    return (time.process_time() - start) / count * 1e6


def _measure_catch_up(folder: Path, key: SecretKey, trusted: Path, records: int) -> list[Claim]:
    primary = folder / "primary.sdb"
    make_year(primary, records)
    plain_s: list[float] = []
    signed_s: list[float] = []
    differences = 0
    for number in range(RUNS):
        for signs, took_s in ((False, plain_s), (True, signed_s)):
            copy = {"path": str(folder / f"copy-{number}-{signs}.sdb")}
            options = {"secret": key.secret.hex(), "trusted": str(trusted)} if signs else {}
            took_s.append(catch_up({"path": str(primary)}, copy, **options)["seconds"])
            differences += compare({"path": str(primary)}, copy)
            Path(copy["path"]).unlink()
    what = f"catch-up of {records:,} records, signed and checked"
    return [
        Claim(f"{what}, against without", records / min(signed_s), "records/s", records / min(plain_s), LEAST_SHARE),
        same(what, differences),
    ]

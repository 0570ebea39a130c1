"""Mutated payloads: whatever is done to the bytes, a decoder returns what it promises or raises Refused.

``SAMESKY_MUTATIONS`` sets how many are tried on each decoder, ``SAMESKY_MUTATION_SEED`` which; a failure prints the
seed and the bytes that did it.
"""

import json
import os
import random
import zlib
from collections.abc import Callable

import pytest

from samesky.core.columns import Column, Kind, Table, decode_tables, encode_tables
from samesky.core.strict import Refused, decode_decimal, decode_json, decode_json_object, inflate
from samesky.core.timetree import Sum
from samesky.core.treelists import decode_digests, decode_rows, encode_digests, encode_rows
from samesky.link.message import Message
from samesky.station.envelope import seal
from samesky.station.messages import decode_answer
from samesky.station.requests import decode_request

pytestmark = pytest.mark.slow

MUTATIONS = int(os.environ.get("SAMESKY_MUTATIONS", "20000"))
SEED = int(os.environ.get("SAMESKY_MUTATION_SEED", "20240229"))

RECORD = {"dateTime": 1_700_000_000, "usUnits": 1, "interval": 5, "outTemp": 71.3, "rain": -0.0, "hail": None, "é": "🌦"}
TOPIC = "replicate/response/copy"
SUMS = {1 << 5: {(1 << 10) + n: Sum(n + 1, n << 99) for n in range(0, 32, 3)}, 99: {}}
ENTRIES = {7: [((7 << 12) + n, n << 120) for n in range(40)], 8: []}
DIGESTS, MARKS = encode_digests(SUMS, nonce=b"n", size=8), encode_rows(ENTRIES, nonce=b"n", size=8)
NESTED = {"a": [1, [2.5, {"b": [None, True, "x\n\u0000"]}]], "c": {"d": {}}}
PAGE = encode_tables(
    [
        Table(
            "archive",
            (Column("dateTime", Kind.INTEGER), Column("outTemp", Kind.REAL)),
            ([1, 2**62], [-0.0, float("inf")]),
        ),
        Table("notes", (Column("x", Kind.REAL), Column("text", Kind.TEXT)), ([None, None], ["Föhn\n", None])),
    ]
)
JSON_SAMPLES = [json.dumps(RECORD).encode(), json.dumps(NESTED, ensure_ascii=False).encode()]

# What decoders have fallen over before: put in place of bytes, or between them.
NASTY = [
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9223372036854775808", b"-9223372036854775809", b"-0"),
    *(
        b"9" * 25,
        b"9" * 5000,
        b"1e-999",
        b"null",
        b"true",
        b'""',
        b"[]",
        b"{}",
        b"[[[[",
        b"]",
        b"}",
        b"," * 3,
        b'{"a":',
    ),
    *(
        b"[" * 2000,
        b'{"a":' * 2000,
        b'"inf"',
        rb'"\ud800"',
        rb"\udc00",
        rb"\u0000",
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
    ),
    *(b"\xef\xbb\xbf", b'"name"', b'"values":', b'"count":', b"1.5", b"\xd9\xa1", b"_", b" ", b"\n", b"-", b"x" * 3000),
]


def mutate(sample: bytes, chance: random.Random) -> bytes:
    """Return ``sample`` with one to four changes: cut, doubled, moved, flipped, or something nasty put in."""
    mutated = bytearray(sample)
    for _ in range(chance.choice((1, 1, 2, 4))):
        start = chance.randint(0, len(mutated))
        end = min(len(mutated), start + chance.choice((0, 1, 1, 2, 8, 40)))
        match chance.randrange(6):
            case 0:
                del mutated[start:end]
            case 1:
                del mutated[start:]
            case 2:
                mutated[start:end] = mutated[start:end] * chance.choice((2, 3, 50))
            case 3:
                mutated[start:end] = chance.randbytes(end - start)
            case 4 if start < len(mutated):
                mutated[start] ^= 1 << chance.randrange(8)
            case _:
                mutated[start:end] = chance.choice(NASTY)
    return bytes(mutated)


def decode_page(payload: bytes) -> object:
    tables = decode_tables(payload, max_rows=1000)
    encode_tables(tables)  # what was accepted is good enough to be sent on
    return tables


def decode_and_store_json(payload: bytes) -> object:
    document = decode_json(payload)
    json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    return document


def decode_question_or_answer(payload: bytes) -> object:
    """A message as a stranger may make it: its first line are its properties, its digest fits."""
    head, _, body = payload.partition(b"\n")
    said = [pair.partition("=") for pair in head.decode("utf-8", "surrogateescape").split("&")]
    properties = tuple((name, value) for name, _, value in said)
    message = seal(Message(TOPIC, body, response_topic=TOPIC, correlation=b"1", properties=properties), ())
    if ("kind", "check") in properties:
        return decode_answer(message, {}, now=0.0)
    return decode_request(message)


DECODERS: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "decode_json": (decode_and_store_json, JSON_SAMPLES),
    "decode_json_object": (decode_json_object, JSON_SAMPLES),
    "decode_tables": (decode_page, [PAGE]),
    "inflate": (lambda payload: inflate(payload, max_bytes=4096), [zlib.compress(PAGE, level) for level in (0, 1, 9)]),
    "decode_decimal": (lambda payload: decode_decimal(payload, low=0, high=2**33), [b"1700000000", b"0"]),
    "decode_digests": (lambda payload: decode_digests(payload, size=8), [DIGESTS]),
    "decode_rows": (lambda payload: decode_rows(payload, size=8), [MARKS]),
    "decode_question": (
        decode_question_or_answer,
        [
            b"data_binding=home/wx&op=root&until=1700000000&columns=dateTime,rain\n" + bytes(16),
            b"data_binding=home/wx&op=nodes&until=1700000000&tree=archive&size=8&bytes=65536\n" + DIGESTS,
            b"data_binding=home/wx&op=rows&until=1700000000&tree=summary&size=8&observations=rain\n" + MARKS,
        ],
    ),
    "decode_check": (
        decode_question_or_answer,
        [
            b"data_binding=home/wx&kind=check&op=root&origin=abc&count=3&tree=archive&size=8\n" + bytes(16) + DIGESTS,
            b"data_binding=home/wx&kind=check&op=nodes&origin=abc&tree=archive&reached=99&copy=a&proven=3\n\0"
            + DIGESTS,
        ],
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_mutated_payloads_are_decoded_or_refused_and_nothing_else(name: str) -> None:
    decode, samples = DECODERS[name]
    chance = random.Random(f"{SEED} {name}")
    outcomes = {"decoded": 0, "refused": 0}
    for number in range(MUTATIONS):
        payload = mutate(chance.choice(samples), chance)
        try:
            decode(payload)
            outcomes["decoded"] += 1
        except Refused:
            outcomes["refused"] += 1
        except Exception as unexpected:
            unexpected.add_note(f"SAMESKY_MUTATION_SEED={SEED}, mutation {number}: {name}({payload!r})")
            raise
    assert all(outcomes.values()), f"the mutations don't reach both outcomes: {outcomes}"


@pytest.mark.parametrize("name", DECODERS)
def test_the_samples_themselves_are_good(name: str) -> None:
    decode, samples = DECODERS[name]
    for sample in samples:
        decode(sample)

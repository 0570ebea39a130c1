import random
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from samesky.station import compression
from samesky.station.compression import compress


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3_000_001])
def test_what_was_compressed_comes_out_of_zlib_unchanged(size_bytes: int) -> None:
    data = random.Random(size_bytes).choices(b"0123456789 weather", k=size_bytes)
    assert zlib.decompress(compress(bytes(data))) == bytes(data)


@given(data=st.binary(max_size=4000))
@example(data=b"")
def test_both_halves_come_out_whatever_is_in_them(data: bytes) -> None:
    fewest, compression._FEWEST_BYTES = compression._FEWEST_BYTES, 0
    try:
        assert zlib.decompress(compress(data)) == data
    finally:
        compression._FEWEST_BYTES = fewest


def test_the_stream_ends_where_it_ends_so_that_a_reader_finds_nothing_behind_it() -> None:
    data = bytes(range(256)) * 4096
    reader = zlib.decompressobj()
    assert reader.decompress(compress(data)) == data
    assert reader.eof
    assert reader.unused_data == b""


def test_two_halves_cost_next_to_no_bytes_more_than_one_stream() -> None:
    data = "".join(f"{random.Random(number).gauss(50, 10):.2f},0,0," for number in range(100_000)).encode()
    assert len(compress(data)) < len(zlib.compress(data, 1)) * 1.01

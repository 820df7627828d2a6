import hashlib
from datetime import UTC, date, datetime

import polars as pl
import pytest

from tasks.lake.rows import digest_of

FRAME = pl.DataFrame(
    {
        "symbol": ["AB", "C"],
        "day": [date(2020, 1, 2), None],
        "price": [1.0, 2.0],
        "rows": [1, None],
        "flag": [True, False],
        "known": [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 3, tzinfo=UTC)],
        "returns": [[0.1, 0.2], []],
    }
)
CHANGED = {
    "a value by one bit": FRAME.with_columns(price=pl.Series([1.0, 2.0 + 2**-51])),
    "a text": FRAME.with_columns(symbol=pl.Series(["AB", "D"])),
    "the border between two texts": FRAME.with_columns(symbol=pl.Series(["A", "BC"])),
    "a null in place of zero": FRAME.with_columns(rows=pl.Series([1, 0])),
    "a null in place of an empty text": FRAME.with_columns(symbol=pl.Series(["AB", None])),
    "a null in place of false": FRAME.with_columns(flag=pl.Series([True, None])),
    "a list's border": FRAME.with_columns(returns=pl.Series([[0.1], [0.2]])),
    "the order of rows": FRAME.reverse(),
    "the order of columns": FRAME.select(reversed(FRAME.columns)),
    "a column's name": FRAME.rename({"price": "close"}),
    "a column's type": FRAME.with_columns(pl.col("rows").cast(pl.Int32)),
    "a float for an integer": FRAME.with_columns(pl.col("rows").cast(pl.Float64)),
    "a row more": pl.concat([FRAME, FRAME.tail(1)]),
    "a row fewer": FRAME.head(1),
}


def test_equal_frames_have_equal_digests_whatever_their_memory_looks_like():
    pieces = pl.concat([FRAME.head(1), FRAME.tail(1)], rechunk=False)
    assert digest_of(pieces) == digest_of(FRAME.clone()) == digest_of(FRAME)


@pytest.mark.parametrize("change", CHANGED)
def test_a_digest_changes_with(change):
    digests = {digest_of(FRAME), digest_of(CHANGED[change])}
    assert len(digests) == 2


def test_an_empty_text_and_a_null_differ():
    empty, null = (pl.DataFrame({"a": [text]}, schema={"a": pl.String}) for text in ("", None))
    assert digest_of(empty) != digest_of(null)


def test_the_digest_is_the_one_that_old_references_recorded():
    # Name, type and length; the mask of nulls; the values, 0 where there is none.
    seen = hashlib.sha256(b"n:Int64:2;")
    seen.update(b"\x00\x01")
    seen.update((5).to_bytes(8, "little") + (0).to_bytes(8, "little"))
    assert digest_of(pl.DataFrame({"n": [5, None]})) == seen.hexdigest()

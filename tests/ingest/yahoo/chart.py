"""What Yahoo's chart API answers: a tape as adjusted at one day, in the API's JSON."""

import json
from bisect import bisect_left, bisect_right
from datetime import date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from tests.ingest.yahoo.market import Listing, Tape

PRICES = ("open", "high", "low", "close")
_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]


@lru_cache(maxsize=100_000)
def stamp(day: date, at: time, zone: str) -> int:
    """Returns the epoch seconds of a local time; all listings of an exchange share them."""
    return int(datetime.combine(day, at, ZoneInfo(zone)).timestamp())


def chart_text(listing: Listing, since: int, until: int, asof: date, now: datetime) -> str | None:
    """Returns the answer for stamps in [since, until); None where no bar is among them."""
    tape = listing.tape

    def opened(day: date) -> int:
        return stamp(day, listing.opens, listing.zone)

    known = bisect_right(tape.days, asof)
    first = bisect_left(tape.days, since, hi=known, key=opened)
    last = bisect_left(tape.days, until, hi=known, key=opened)
    if first == last:
        return None
    rows = _rows(tape, listing.opens, listing.zone, first, last, asof)
    meta = json.dumps(_meta(listing, tape.days[last - 1], tape.bars[last - 1][4], now))
    return f'{{"chart":{{"result":[{{"meta":{meta},{rows}}}],"error":null}}}}'


@lru_cache(maxsize=256)
def _rows(tape: Tape, opens: time, zone: str, first: int, last: int, asof: date) -> str:
    """Returns stamps, quotes and events of the bars [first, last) as the inside of an object."""
    days = tape.days[first:last]
    by_split = _later_factors(
        {d: old / new for d, (new, old) in tape.splits.items() if d <= asof}, days
    )
    by_dividend = _later_factors(_dividend_factors(tape, asof), days)
    bars = tape.bars[first:last]
    quote: dict[str, list] = {
        name: [_scaled(bar[place], f) for bar, f in zip(bars, by_split, strict=True)]
        for place, name in enumerate(PRICES, 1)
    }
    quote["volume"] = [
        None if bar[5] is None else round(bar[5] / f) for bar, f in zip(bars, by_split, strict=True)
    ]
    adjusted = [
        _scaled(bar[4], f * g) for bar, f, g in zip(bars, by_split, by_dividend, strict=True)
    ]
    rows = {
        "timestamp": [stamp(day, opens, zone) for day in days],
        "events": _events(tape, opens, zone, days[0], days[-1], asof),
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": adjusted}]},
    }
    if not rows["events"]:
        del rows["events"]
    return json.dumps(rows)[1:-1]


def _scaled(value: float | None, factor: float) -> float | None:
    # Yahoo's numbers have six decimals.
    return None if value is None else round(value * factor, 6)


def _later_factors(by_day: dict[date, float], days: list[date]) -> list[float]:
    """Returns of each of `days` the product of the factors of all later days."""
    acting = sorted(by_day)
    products = [1.0]
    for day in reversed(acting):
        products.append(products[-1] * by_day[day])
    products.reverse()
    return [products[bisect_right(acting, day)] for day in days]


def _dividend_factors(tape: Tape, asof: date) -> dict[date, float]:
    """Returns 1 − dividend / close before, of each ex-date; both in the shares of the ex-date."""
    factors = {}
    for day, amount in tape.dividends.items():
        place = bisect_left(tape.days, day)
        if day > asof or place == 0 or tape.bars[place - 1][4] is None:
            continue
        new, old = tape.splits.get(day, (1, 1))
        factors[day] = 1 - amount / (tape.bars[place - 1][4] * old / new)
    return factors


def _events(
    tape: Tape, opens: time, zone: str, first: date, last: date, asof: date
) -> dict[str, dict]:
    events: dict[str, dict] = {}
    splits = {d: old / new for d, (new, old) in tape.splits.items() if d <= asof}
    for kind, table in (("dividends", tape.dividends), ("capitalGains", tape.capital_gains)):
        for day, amount in table.items():
            if first <= day <= last:
                at = stamp(day, opens, zone)
                adjusted = amount * _later_factors(splits, [day])[0]
                events.setdefault(kind, {})[str(at)] = {"amount": adjusted, "date": at}
    for day, (new, old) in tape.splits.items():
        if first <= day <= last:
            at = stamp(day, opens, zone)
            events.setdefault("splits", {})[str(at)] = {
                "date": at,
                "numerator": new,
                "denominator": old,
                "splitRatio": f"{new:g}:{old:g}",
            }
    return events


def _meta(listing: Listing, day: date, price: float | None, now: datetime) -> dict:
    days = listing.tape.days
    return {
        "currency": listing.currency,
        "symbol": listing.symbol,
        "exchangeName": listing.exchange,
        "fullExchangeName": listing.exchange,
        "instrumentType": listing.instrument,
        "firstTradeDate": stamp(days[0], listing.opens, listing.zone),
        "regularMarketTime": stamp(day, listing.opens, listing.zone),
        "hasPrePostMarketData": True,
        "exchangeTimezoneName": listing.zone,
        "regularMarketPrice": price,
        "chartPreviousClose": price,
        "priceHint": 2,
        **_today(listing.zone, listing.opens, listing.closes, now),
        "dataGranularity": "1d",
        "range": "",
        "validRanges": _RANGES,
    }


@lru_cache(maxsize=64)
def _today(zone: str, opens: time, closes: time, now: datetime) -> dict:
    """What is alike in the answers of one exchange at one moment."""
    here = now.astimezone(ZoneInfo(zone))
    offset = int(here.utcoffset().total_seconds())

    def period(start: time, end: time) -> dict:
        span = {"start": stamp(here.date(), start, zone), "end": stamp(here.date(), end, zone)}
        return {"timezone": here.tzname(), "gmtoffset": offset, **span}

    return {
        "gmtoffset": offset,
        "timezone": here.tzname(),
        "currentTradingPeriod": {
            "pre": period(time(4), opens),
            "regular": period(opens, closes),
            "post": period(closes, time(20)),
        },
    }

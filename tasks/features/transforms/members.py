"""Values relative to those of the universe's members on the same date.

1. Rows lie grouped by date; each date is worked on alone.
2. The date's finite values are put in ascending order, so that a sum does not hang on the order of
   the symbols: the same values give the same bits, whoever has them and wherever they lie.
3. Statistics come from the members' values. A row that is no member's is measured by them all the
   same, so that a symbol that joins tomorrow has its window.
4. Masked (NaN or infinite) stays masked. A date with fewer than two members' values is masked.

Every function takes `values` [N], grouped by date; `starts` [G + 1], where each date's rows begin,
and N; `member` [N]; `sector` [N], a number from 0 on for each sector, -1 where it is unknown.

Compiled code calls only code of this file: numba's cache does not notice a change in another.
"""

import numpy as np
from numba import njit

from tasks.features.transforms.entry import Array, Flags, Rows

_FEW = 64
_SIGN = np.uint64(1 << 63)
_BYTE = np.uint64(255)

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _ascending(values: Array) -> Rows:
    """Returns the places of the finite values in ascending order, equals in that of their places.

    A radix sort by bytes where there are many: a third of the time of numba's sort at 8,000 values.
    """
    places = np.flatnonzero(np.isfinite(values))
    size = places.size
    # Bits that ascend, as whole numbers, like the values do.
    keys = values[places].view(np.uint64)
    for k in range(size):
        keys[k] = ~keys[k] if keys[k] & _SIGN else keys[k] | _SIGN
    if size <= _FEW:
        # Counting all bytes would cost more than sorting by hand.
        for k in range(1, size):
            key, place, at = keys[k], places[k], k
            while at > 0 and keys[at - 1] > key:
                keys[at], places[at] = keys[at - 1], places[at - 1]
                at -= 1
            keys[at], places[at] = key, place
        return places
    counts = np.zeros((8, 256), np.int64)
    for k in range(size):
        for byte in range(8):
            counts[byte, (keys[k] >> np.uint64(8 * byte)) & _BYTE] += 1
    moved_keys, moved_places = np.empty_like(keys), np.empty_like(places)
    for byte in range(8):
        shift = np.uint64(8 * byte)
        # Values that were float32 have the same lowest bytes.
        if size == 0 or counts[byte, (keys[0] >> shift) & _BYTE] == size:
            continue
        begin = 0
        for digit in range(256):
            count = counts[byte, digit]
            counts[byte, digit] = begin
            begin += count
        for k in range(size):
            digit = (keys[k] >> shift) & _BYTE
            target = counts[byte, digit]
            counts[byte, digit] += 1
            moved_keys[target] = keys[k]
            moved_places[target] = places[k]
        keys, moved_keys = moved_keys, keys
        places, moved_places = moved_places, places
    return places


@_compiled
def _members_values(values: Array, rows: Rows, member: Flags) -> Array:
    """Returns the values of those of the rows that are members', in the rows' order."""
    kept = np.empty(rows.size)
    size = 0
    for row in rows:
        if member[row]:
            kept[size] = values[row]
            size += 1
    return kept[:size]


@_compiled
def _mean(ascending: Array) -> float:
    # Distances from the middle value: the mean of equal values is exactly that value.
    middle = ascending[ascending.size // 2]
    total = 0.0
    for value in ascending:
        total += value - middle
    return middle + total / ascending.size


@_compiled
def _quantile(ascending: Array, percent: int) -> float:
    """Returns the quantile by linear interpolation, numpy's method "linear"."""
    hundredths = (ascending.size - 1) * percent
    below = hundredths // 100
    above = min(below + 1, ascending.size - 1)
    share = (hundredths % 100) / 100.0
    return ascending[below] + share * (ascending[above] - ascending[below])


@_compiled
def _by_sector(
    values: Array, rows: Rows, member: Flags, sector: Rows, sectors: int
) -> tuple[Rows, Array]:
    """Returns members' values sector by sector, each in the rows' order, and each sector's end."""
    ends = np.zeros(sectors, np.int64)
    for row in rows:
        if member[row] and sector[row] >= 0:
            ends[sector[row]] += 1
    ends = np.cumsum(ends)
    kept = np.empty(rows.size)
    left = ends.copy()
    for row in rows[::-1]:
        if member[row] and sector[row] >= 0:
            left[sector[row]] -= 1
            kept[left[sector[row]]] = values[row]
    return ends, kept


@_compiled
def rank(values: Array, starts: Rows, member: Flags, sector: Rows) -> Array:
    """Returns the centred percentile among the date's members: above -0.5, below 0.5, 0 in between.

    Equals share their average rank, so that all are 0 where all are equal. Of a row that is no
    member's it is the share of members below it (equals by half) less 0.5, both ends included.

    Formula: (average rank - 0.5) / n - 0.5 among the n members
    Source: Hazen (1914), Storage to Be Provided in Impounding Reservoirs, for the plotting position
    """
    out = np.full(values.size, np.nan)
    for group in range(starts.size - 1):
        first, end = starts[group], starts[group + 1]
        rows = first + _ascending(values[first:end])
        count = _members_values(values, rows, member).size
        if count < 2:
            continue
        below = begin = 0
        while begin < rows.size:
            stop, equal = begin, 0
            while stop < rows.size and values[rows[stop]] == values[rows[begin]]:
                equal += 1 if member[rows[stop]] else 0
                stop += 1
            for k in range(begin, stop):
                out[rows[k]] = (2 * below + equal - count) / (2 * count)
            below += equal
            begin = stop
    return out


@_compiled
def zscore(values: Array, starts: Rows, member: Flags, sector: Rows) -> Array:
    """Returns how far each value is from the mean of the date's members, in their deviations.

    The deviation is the population's (divided by n); a date on which the members' values are all
    equal is masked.

    Formula: (x - mean(members' x)) / sqrt(mean((members' x - mean(members' x))^2))
    Source: common usage
    """
    out = np.full(values.size, np.nan)
    for group in range(starts.size - 1):
        first, end = starts[group], starts[group + 1]
        rows = first + _ascending(values[first:end])
        known = _members_values(values, rows, member)
        if known.size < 2:
            continue
        centre = _mean(known)
        total = 0.0
        for value in known:
            total += (value - centre) * (value - centre)
        spread = np.sqrt(total / known.size)
        if spread > 0.0:
            for row in rows:
                out[row] = (values[row] - centre) / spread
    return out


@_compiled
def winsor(values: Array, starts: Rows, member: Flags, sector: Rows, percent: int) -> Array:
    """Returns each value, clipped at the p % and the 100-p % quantile of the date's members.

    Quantiles are interpolated linearly, numpy's method "linear". Extreme values are drawn in, not
    masked.

    Formula: min(max(x, q(p %)), q(100 - p %)), q = quantile of the members' x
    Source: Tukey (1962), The Future of Data Analysis, who names it after Charles P. Winsor
    """
    out = np.full(values.size, np.nan)
    for group in range(starts.size - 1):
        first, end = starts[group], starts[group + 1]
        rows = first + _ascending(values[first:end])
        known = _members_values(values, rows, member)
        if known.size < 2:
            continue
        low, high = _quantile(known, percent), _quantile(known, 100 - percent)
        for row in rows:
            out[row] = min(max(values[row], low), high)
    return out


@_compiled
def sector_neutral(values: Array, starts: Rows, member: Flags, sector: Rows) -> Array:
    """Returns each value minus the mean of the members of its sector on that date.

    A symbol whose sector is unknown: minus the mean of all members. A symbol that is alone in its
    sector on a date, no other member having a value, has nobody to differ from: 0.

    Formula: x - mean(x of the members of the same sector, or of all where the sector is
        unknown)
    Source: common usage
    """
    out = np.full(values.size, np.nan)
    sectors = 0
    for code in sector:
        sectors = max(sectors, code + 1)
    for group in range(starts.size - 1):
        first, end = starts[group], starts[group + 1]
        rows = first + _ascending(values[first:end])
        known = _members_values(values, rows, member)
        if known.size < 2:
            continue
        # The last place, that of -1, is the unknown sector's.
        centre = np.full(sectors + 1, np.nan)
        centre[-1] = _mean(known)
        ends, ordered = _by_sector(values, rows, member, sector, sectors)
        for code in range(sectors):
            begin = ends[code - 1] if code else 0
            if begin < ends[code]:
                centre[code] = _mean(ordered[begin : ends[code]])
        for row in rows:
            middle = centre[sector[row]]
            out[row] = 0.0 if np.isnan(middle) else values[row] - middle
    return out

"""Feature frames of the generated panels, on one exchange or two."""

from datetime import timedelta

import polars as pl

from tasks.features.frame import Exchange, feature_frame
from tasks.features.spec import FeatureSpec
from tasks.lake.membership import Membership
from tasks.lake.target_spec import TargetSpec
from tests.features.panels import FIRST, SESSIONS

SPEC = FeatureSpec(features=("rsi(14)", "log_return(1)"), lookback=20)
DAYS = [FIRST + timedelta(days=day) for day in range(400)]
ONE = {"XAAA": Exchange(DAYS, SESSIONS)}
# Every seventh day there is no session there.
OTHER = [day for i, day in enumerate(DAYS) if i % 7]
OFF = set(DAYS) - set(OTHER)
TWO = ONE | {"XBBB": Exchange(OTHER, [day for day in SESSIONS if day not in OFF])}


def members_of(**exchanges: str) -> Membership:
    return Membership(spells=tuple((s, None, None, e, None) for s, e in exchanges.items()))


BOTH = members_of(AAA="XAAA", BBB="XAAA")


def framed(panel: pl.DataFrame, spec=SPEC, exchanges=ONE, members=BOTH, **more) -> pl.DataFrame:
    target = more.pop("target", TargetSpec())
    return feature_frame(panel, exchanges, members, spec, target, **more)

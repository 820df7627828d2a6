"""The scores of forecasts beside IC and errors: an entry here adds a column to the report.

A score that comes to one number for each way of counting the dates stands here; its interval, its
place in the summary and its column follow by themselves.
"""

from tasks.evaluation.skill.bands import COVERAGE_50, WIDTH_90
from tasks.evaluation.skill.consistency import ICIR, RANK_ICIR
from tasks.evaluation.skill.entry import Score
from tasks.evaluation.skill.spreads import SPREAD

SCORES: dict[str, Score] = {
    "icir": ICIR,
    "rank_icir": RANK_ICIR,
    "fifth_spread": SPREAD,
    "width_90": WIDTH_90,
    "coverage_50": COVERAGE_50,
}

"""The frame measures commands whose answers are known; nothing here asserts a time."""

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import RunError
from tasks.ingest.contracts import RAW_BAR_COLUMNS
from tasks.ingest.quality import check, check_actions
from tasks.ingest.quarantine import NO_REVIEWS
from tasks.lake.factors import adjust
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, Outcome, find_peer, ratios, report, run_rounds
from tests.benchmarks.synthetic import INDEX, make_market
from tests.benchmarks.table import render

NOWHERE = Path("/no/such/python")


def saying(name, code, **how):
    """A contender that runs a line of Python which prints its answer; quick to start."""
    return Contender(name, (sys.executable, "-I", "-S", "-c", code), **how)


def rounds(*values):
    return Outcome(rounds=[{"seconds": value} for value in values])


@pytest.fixture(scope="module")
def both():
    """Ours says 10, 11 and 12 in its three rounds; the peer three times as much."""
    answer = "import json; print('noise'); print(json.dumps({'fit': {'rows': %s}, 'kind': 'k'}))"
    ours = saying("ours", answer % "10 + {round}")
    peer = saying("peer", answer % "3 * (10 + {round})", peer=True)
    return run_rounds([ours, peer], 3)


def test_a_report_is_json_of_medians_ranges_and_ratios(both):
    made = json.loads(json.dumps(report("test", {"rows": 3}, both, [("peer", "ours")])))
    assert set(made) == {"benchmark", "sizes", "machine", "results", "ratios"}
    ours = made["results"]["ours"]
    assert set(ours["medians"]) == set(ours["ranges"]) == {"fit.rows", "wall_seconds", "peak_mb"}
    assert (ours["medians"]["fit.rows"], ours["ranges"]["fit.rows"]) == (11, [10, 12])
    assert (ours["rounds"], ours["facts"], ours["reason"]) == (3, {"kind": "k"}, None)
    assert made["ratios"]["peer / ours"]["fit.rows"] == 3.0
    assert {"cores", "cpu", "versions"} <= set(made["machine"])


def test_a_report_reads_as_a_table(both):
    text = render(report("test", {"rows": 3}, both, [("peer", "ours")]))
    assert "ours: median of 3, kind k" in text
    assert "fit  11.00" in text


def test_contenders_run_in_turn(tmp_path):
    log = tmp_path / "log"
    note = f"open({str(log)!r}, 'a').write('%s{{round}} '); print('{{}}')"
    run_rounds(
        [saying("a", note % "a"), saying("b", note % "b"), saying("c", note % "c", once=True)], 2
    )
    assert log.read_text() == "a0 b0 c0 a1 b1 "


def test_the_median_ratio_is_of_paired_rounds():
    # Both slow down by ten in the second round; medians alone would say 20 / 10 = 2 too.
    assert ratios(rounds(2, 20, 3), rounds(1, 10, 1)) == {"seconds": 2.0}
    assert ratios(rounds(2, 20, 300), rounds(1, 10, 100)) == {"seconds": 2.0}


def test_ratios_leave_out_what_either_could_not_measure():
    assert ratios(rounds(None, 4), rounds(1, 2)) == {"seconds": 2.0}
    assert ratios(rounds(None), rounds(1)) == {}
    assert rounds(None, 4).medians() == {"seconds": None}


def test_a_peer_without_its_module_is_null_with_the_reason():
    peer = find_peer("qlib", "no_such_module", ["script.py"], [])
    made = report(
        "test", {}, run_rounds([saying("ours", "print('{}')"), peer], 1), [("qlib", "ours")]
    )
    assert made["results"]["qlib"]["medians"] is None
    assert "'no_such_module'" in made["results"]["qlib"]["reason"]
    assert "--peer-python" in made["results"]["qlib"]["reason"]
    assert made["ratios"] == {"qlib / ours": None}


def test_a_python_that_is_not_there_is_named_in_the_reason():
    assert str(NOWHERE) in find_peer("qlib", "json", [], [NOWHERE]).missing


def test_a_peer_runs_under_the_python_that_has_its_module():
    peer = find_peer("json", "json", ["-c", "print('{}')"], [Path(sys.executable)])
    assert (peer.command[0], peer.missing) == (sys.executable, None)


def test_a_peer_that_fails_is_null_with_its_last_words():
    peer = saying("peer", "raise ValueError('no disk')", peer=True)
    outcome = run_rounds([peer], 2)["peer"]
    assert outcome.missing == "peer ended with 1: ValueError: no disk"
    assert report("test", {}, {"peer": outcome})["results"]["peer"]["medians"] is None


def test_a_failure_of_ours_stops_the_run():
    with pytest.raises(RunError, match="ours ended with 1: ValueError"):
        run_rounds([saying("ours", "raise ValueError")], 1)


def test_an_answer_that_is_no_json_object_is_refused():
    with pytest.raises(RunError, match="ours printed 'fast'"):
        run_rounds([saying("ours", "print('fast')")], 1)


def test_the_peak_of_a_child_covers_what_it_held():
    held = run_rounds([saying("ours", "x = bytearray(300 * 2**20); print('{}')")], 1)["ours"]
    assert held.rounds[0]["peak_mb"] >= 300


def test_sizes_and_repeats_must_be_positive(capsys):
    parser = frame.parser("night", "", {"symbols": (50, "symbols")})
    assert parser.parse_args([]).symbols == 50
    with pytest.raises(SystemExit):
        parser.parse_args(["--symbols", "0"])
    assert "0 is less than 1" in capsys.readouterr().err


def weekdays(count):
    days = (date(2015, 1, 1) + timedelta(n) for n in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count]


def test_adjusting_the_synthetic_bars_gives_back_the_path_they_were_made_of():
    market = make_market(30, weekdays(1500), seed=1)
    bars = market.bars.filter(pl.col("symbol") != INDEX).with_columns(source=pl.lit("test"))
    actions = pl.concat(
        bars.filter(pl.col(kind) != 0).select("symbol", "date", kind=pl.lit(kind), value=kind)
        for kind in ("split", "dividend")
    )
    assert actions["kind"].unique().sort().to_list() == ["dividend", "split"]
    adjusted = adjust(bars.drop("split", "dividend"), actions).select("symbol", "date", "close")
    assert_frame_equal(adjusted, market.path, rel_tol=1e-9)


def test_quality_refuses_nothing_of_the_synthetic_bars():
    days = weekdays(500)
    bars = make_market(20, days, seed=2).bars.with_columns(source=pl.lit("test"))
    paying = bars.filter(pl.col("dividend") > 0)
    dividends = paying.select(
        "symbol", "date", kind=pl.lit("dividend"), value="dividend", source="source"
    )
    unsaid = {"adj_close": pl.lit(None, pl.Float64), "currency": pl.lit(None, pl.String)}
    raw = bars.with_columns(**unsaid).select(RAW_BAR_COLUMNS)
    good, refused = check(raw, days, {}, NO_REVIEWS)
    assert (good.height, refused.height) == (bars.height, 0)
    assert check_actions(dividends, good, NO_REVIEWS)[1].is_empty()


def test_a_seed_gives_one_market():
    days = weekdays(50)
    assert make_market(5, days, seed=3).bars.equals(make_market(5, days, seed=3).bars)
    assert not make_market(5, days, seed=3).bars.equals(make_market(5, days, seed=4).bars)


@pytest.mark.slow
def test_night_measures_every_stage_of_both_flows():
    small = ("--symbols", "5", "--years", "3", "--epochs", "1", "--max-windows", "200")
    command = (sys.executable, "-m", "tests.benchmarks.night", *small, "--repeats", "1", "--json")
    run = subprocess.run(command, cwd=frame.HOME, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)["results"]
    for kind, stages in {
        "train": ("ingest", "features", "windows", "fold", "baselines", "evaluation", "refit"),
        "daily": ("ingest", "features", "forecast", "publish"),
    }.items():
        for stage in stages:
            assert results[kind]["medians"][f"{stage}.seconds"] > 0

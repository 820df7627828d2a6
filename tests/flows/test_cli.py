"""The command, in this process: `main` with its arguments, its exit code and what it prints."""

import json
import subprocess
import sys
from datetime import date

import polars as pl
import pytest
import torch

from flows.cli import main
from tasks.lake.store import Lake
from tests.flows.tiny import LAST, SYMBOLS, TRAINED_TO, forecasts, random_walks, read
from tests.lake.frames import at, bars


@pytest.fixture
def nightcast(capsys, monkeypatch):
    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["nightcast", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return command


RSI_TOO_LONG = (
    "lookback=3 is shorter than rsi(14) needs (14 bars); raise lookback or shorten the period."
)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["--set", "training.epoch=5"],
            2,
            ["training.epoch: there is no such key", "value met: 5", "Did you mean 'epochs'?"],
        ),
        (["--set", "trainin.epochs=5"], 2, ["trainin: there is", "Did you mean 'training'?"]),
        (["--set", "training.epochs=0"], 2, ["training.epochs", "greater than or equal to 1", "0"]),
        (["--set", "training.epochs"], 2, ["'training.epochs' is not key=value", "write such as"]),
        (
            ["--set", "features.lookback=3", "--set", "features.features=['rsi(14)']"],
            2,
            [RSI_TOO_LONG],
        ),
        (
            ["--set", "universe.symbols=['AAA', 'CCCC']"],
            2,
            ["universe.symbols names 'CCCC'", "choose among its 6 symbols", "Did you mean 'CCC'?"],
        ),
        (["--set", "universe.exchange='XNYSE'"], 2, ["XNYSE", "Did you mean 'XNYS'?"]),
        (["--as-of", "2199-01-02"], 2, ["--as-of 2199-01-02 is in the future", "take that or an"]),
        (["--as-of", "2020-01-02"], 1, [f"ends on {LAST}", "2020-01-02", "bring newer bars"]),
        (["--as-of", "yesterday"], 2, ["yesterday", "%Y-%m-%d"]),
        (["--set", "provider.path='/nowhere/bars.csv'"], 2, ["/nowhere/bars.csv does not exist"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.parametrize("command", ["train", "daily"])
def test_bad_input_is_named_and_writes_nothing(
    nightcast, world, tmp_path, command, arguments, code, said
):
    root = tmp_path / "root"
    ended, _, error = nightcast(command, world, "--root", root, *arguments)
    assert ended == code, error
    for words in said:
        assert words in " ".join(error.split())
    assert not root.exists()


def test_a_misspelt_option_and_a_missing_configuration_are_bad_usage(nightcast, tmp_path):
    code, _, error = nightcast("train", "--roott", tmp_path / "root")
    assert code == 2
    assert "--root" in error
    code, _, error = nightcast("train", tmp_path / "none.toml", "--root", tmp_path / "root")
    assert code == 2
    assert "none.toml" in error
    assert not (tmp_path / "root").exists()


def test_a_file_without_a_column_is_refused_with_what_it_lacks_and_has(nightcast, world, tmp_path):
    poor = tmp_path / "poor.csv"
    random_walks().drop("volume").rename({"open": "Open"}).write_csv(poor)
    code, _, error = nightcast(
        "train", world, "--root", tmp_path / "root", "--set", f"provider.path='{poor}'"
    )
    assert code == 2
    assert "poor.csv lacks the columns open, volume" in error
    assert "found symbol, date, Open, high, low, close" in error
    assert not (tmp_path / "root").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused_and_no_cpu_steps_in(nightcast, world, tmp_path):
    code, _, error = nightcast(
        "train", world, "--root", tmp_path / "root", "--set", "training.device='cuda'"
    )
    assert code == 2
    assert "cuda" in error
    assert "cpu" in error
    assert not (tmp_path / "root").exists()


def test_a_data_root_that_cannot_be_written_is_named(nightcast, world, tmp_path):
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "root"
    code, _, error = nightcast("train", world, "--root", root)
    assert code == 2
    assert f"The data root '{root}' cannot be written" in error
    assert "choose another --root" in error


def test_a_night_without_a_model_is_refused_before_anything_is_written(nightcast, world, tmp_path):
    code, _, error = nightcast("daily", world, "--root", tmp_path / "root")
    assert code == 1
    assert "There is no model named 'tiny' yet; run `nightcast train` first." in error
    assert not (tmp_path / "root").exists()


def test_a_night_before_the_training_end_is_refused_at_once(nightcast, trained):
    code, _, error = nightcast(
        "daily", trained.config, "--root", trained.root, "--as-of", "2019-07-01"
    )
    assert code == 1
    assert trained.train.outcome["model"] in error


@pytest.mark.parametrize("command", ["forecasts", "models", "quarantine", "report"])
def test_an_empty_root_is_told_from_an_empty_answer(nightcast, tmp_path, command):
    root = tmp_path / "root"
    code, out, error = nightcast(command, "--root", root)
    assert code == 2
    assert not out
    assert f"There is no lake below '{root}' yet; run `nightcast demo`" in error
    assert not root.exists()


def test_forecasts_are_printed_as_they_stand_in_the_ledger(nightcast, trained):
    code, out, _ = nightcast("forecasts", "--root", trained.root, "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6]
    ledger = forecasts(trained.root).sort("rank")
    for column in ("symbol", "mean", "q05", "q95", "score"):
        assert [row[column] for row in rows] == ledger[column].to_list()
    assert "known_by" not in rows[0]
    assert (
        "known_by"
        in json.loads(nightcast("forecasts", "--root", trained.root, "--json", "--audit")[1])[0]
    )
    _, table, _ = nightcast("forecasts", "--root", trained.root)
    assert all(symbol in table for symbol in SYMBOLS)


def test_one_symbol_and_one_night_can_be_asked_for(nightcast, trained):
    asked = "forecasts", "--root", trained.root, "--json"
    rows = json.loads(nightcast(*asked, "--symbol", "CCC", "--as-of", LAST)[1])
    assert [row["symbol"] for row in rows] == ["CCC"]
    code, _, error = nightcast(*asked, "--symbol", "CCCC")
    assert code == 2
    assert "'CCCC' has no forecast" in error
    assert "Did you mean 'CCC'?" in error
    code, _, error = nightcast(*asked, "--as-of", TRAINED_TO)
    assert code == 2
    assert f"No forecast was published for {TRAINED_TO}; the newest night is {LAST}." in error


def test_models_names_the_champion_and_says_why_it_is_champion(nightcast, trained):
    model, candidate = json.loads(nightcast("models", "--root", trained.root, "--json")[1])
    assert model["model"] == candidate["model"] == trained.train.outcome["model"]
    assert (model["event"], model["gate"]) == ("champion", "first")
    assert model["reason"].startswith("there was no champion; its own verdict is ")
    assert (candidate["event"], candidate["gate"]) == ("candidate", "first")
    assert model["cutoff"] == str(TRAINED_TO)
    assert model["label_end"] <= model["cutoff"]
    _, table, _ = nightcast("models", "--root", trained.root)
    assert "champion" in table
    assert "first" in table


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ((), 2, "needs a reason; say why with --reason."),
        (("--reason", " "), 2, "needs a reason"),
        (("--reason", "x"), 1, "is the champion of 'tiny' already (first, "),
    ],
)
def test_a_promotion_without_a_reason_or_a_need_is_refused(nightcast, trained, changed, code, said):
    asked = "promote", trained.train.outcome["model"], "--root", trained.root
    ended, out, error = nightcast(*asked, *changed)
    assert (ended, out) == (code, "")
    assert said in error
    assert len(read(trained.root, "registry")) == 2


def test_a_promotion_of_an_unknown_model_offers_the_near_one(nightcast, trained):
    model = trained.train.outcome["model"]
    asked = "promote", model[:-1] + "_", "--root", trained.root, "--reason", "x"
    code, _, error = nightcast(*asked)
    assert code == 2
    assert f"There is no model '{model[:-1]}_'. Did you mean '{model}'?" in error


def test_quarantine_shows_each_refused_bar_with_rule_and_value(nightcast, dirty):
    asked = "quarantine", "--root", dirty.root, "--json"
    rows = pl.DataFrame(json.loads(nightcast(*asked)[1]))
    assert rows.filter(rule="non_positive_price")["symbol"].to_list() == ["AAA"] * 3
    assert all(float(v) < 0 for v in rows.filter(rule="non_positive_price")["value"])
    assert len(rows.filter(rule="duplicate_key")) == 6
    one = pl.DataFrame(json.loads(nightcast(*asked, "--symbol", "BBB")[1]))
    assert one["symbol"].to_list() == ["BBB"] * 2


def test_report_prints_where_the_newest_page_lies(nightcast, trained):
    code, out, _ = nightcast("report", "--root", trained.root, "--as-of", LAST)
    assert code == 0
    assert out.strip() == trained.daily.outcome["report"]
    with open(out.strip()) as page:
        assert page.read(15).lower() == "<!doctype html>"


def test_doctor_finds_nothing_wrong_and_says_what_runs_where(nightcast, trained):
    code, out, _ = nightcast("doctor", "--root", trained.root, "--json")
    checks = {check["subject"]: check for check in json.loads(out)}
    assert set(checks) == {"versions", "gpu", "calendar", "data root", "prefect"}
    assert not [c for c in checks.values() if c["state"] == "wrong"]
    assert code == 0
    assert str(trained.root) in checks["data root"]["finding"]


def test_doctor_says_how_to_mend_a_root_that_cannot_be_written(nightcast, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, _ = nightcast("doctor", "--root", tmp_path / "file" / "root", "--json")
    root = next(c for c in json.loads(out) if c["subject"] == "data root")
    assert code == 1
    assert root["state"] == "wrong"
    assert root["mend"] == "choose another --root"


def test_help_brings_neither_prefect_nor_torch():
    words = (
        "import sys\n"
        "from flows.cli import app\n"
        "app(['train', '--help'], standalone_mode=False)\n"
        "print(sorted({'prefect', 'torch', 'polars', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert "Trains and evaluates a model" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def waiting(tmp_path):
    """A root on which one bar of AAA is held."""
    held = bars([("AAA", date(2021, 1, 4), 10.0)])
    held = held.with_columns(flags=pl.lit("jump"), held=pl.lit(True))
    Lake(tmp_path / "lake").append("bars", held, at(0))
    return tmp_path


def test_a_held_bar_is_shown_and_released_with_a_reason(nightcast, waiting):
    code, out, _ = nightcast("quarantine", "--root", waiting, "--json")
    assert code == 0
    assert [(r["symbol"], r["state"], r["rule"]) for r in json.loads(out)] == [
        ("AAA", "held", "jump")
    ]
    asked = "quarantine", "--root", waiting, "--symbol", "AAA", "--release", "2021-01-04"
    code, _, err = nightcast(*asked)
    assert (code, "needs a reason" in err) == (2, True)
    code, out, _ = nightcast(*asked, "--reason", "seen on the tape", "--json")
    assert code == 0
    assert [(r["rule"], r["reason"]) for r in json.loads(out)] == [("jump", "seen on the tape")]
    assert json.loads(nightcast("quarantine", "--root", waiting, "--json")[1]) == []


def test_a_release_without_a_symbol_is_bad_usage(nightcast, waiting):
    code, _, err = nightcast("quarantine", "--root", waiting, "--release", "2021-01-04")
    assert (code, "names no symbol; add --symbol" in err) == (2, True)


@pytest.mark.parametrize("symbol", ["../x", "CON", "A/B", "x'; drop table", "A\\u0000", "A\\n"])
def test_a_hostile_symbol_is_refused_by_name_and_writes_nothing(nightcast, world, tmp_path, symbol):
    named = f'universe.symbols=["{symbol}"]'
    code, _, err = nightcast("train", world, "--root", tmp_path / "root", "--set", named)
    assert code == 2
    assert "is no symbol" in err
    assert list(tmp_path.iterdir()) == []


def test_features_lists_what_a_configuration_may_name(nightcast):
    code, out, _ = nightcast("features", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["rsi(14)"]["lookback"] == 14
    assert rows["…|winsor(1)"]["kind"] == "members of the date"
    code, out, _ = nightcast("features", "--kind", "calendar")
    assert code == 0
    assert "month_end(5)" in out
    assert "rsi(14)" not in out


def test_a_kind_of_features_that_there_is_not_is_bad_usage(nightcast):
    code, _, error = nightcast("features", "--kind", "volum")
    assert code == 2
    assert "No feature is of the kind 'volum'. Did you mean 'volume'?" in error

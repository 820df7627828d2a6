"""The README says what the code does."""

import json
import re
import tomllib
from pathlib import Path

from tasks.evaluation.earned import FIGURES, FLOWS
from tasks.evaluation.portfolio_spec import PortfolioSpec
from tasks.evaluation.skill import SCORES
from tasks.features import catalogue
from tasks.features.indicators.lookbacks import ENDLESS
from tasks.features.sets import SETS
from tasks.features.spec import FeatureSpec
from tasks.ingest.providers import PROVIDERS
from tasks.ingest.rules import RULES

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_rules_in_the_readme_are_the_rules_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| (refuse|hold|flag) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(name, rule.severity, rule.text) for name, rule in RULES.items()]


def test_every_provider_has_a_row_in_the_readme():
    assert set(re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", README, re.MULTILINE)) >= set(PROVIDERS)


def row_of(row: catalogue.Row) -> str:
    """A row of the README's table; a bar inside a cell would end it."""
    name, formula = (text.replace("|", "\\|") for text in (row.name, row.formula))
    need = f"{row.lookback} + {row.warm_up}" if row.warm_up else f"{row.lookback}"
    need = f"{row.lookback} + all" if row.warm_up == ENDLESS else need
    return f"| `{name}` | {row.kind} | {formula} | {need} | {row.source} |"


def test_the_features_in_the_readme_are_those_of_the_registry():
    rows = [
        line
        for line in README.splitlines()
        if re.match(r"\| `[a-z0-9_]+(\([\d,]+\))?` \| \w+ \| .* \| \d", line)
    ]
    assert rows == [row_of(row) for row in catalogue.indicators()]


def test_the_transforms_in_the_readme_are_those_of_the_registry():
    rows = [line for line in README.splitlines() if re.match(r"\| `\\\|\w+", line)]
    assert rows == [row_of(row._replace(name=f"|{row.name}")) for row in catalogue.transforms()]


def test_every_feature_set_is_named_in_the_readme():
    assert all(f"`{name}`" in README for name in SETS)


def test_the_features_that_the_readme_configures_are_accepted():
    example = re.search(r"```toml\n(\[features\].*?)```", README, re.DOTALL)
    assert example is not None
    FeatureSpec(**tomllib.loads(example.group(1))["features"])


def test_the_scores_figures_and_portfolio_settings_in_the_readme_are_those_of_the_code():
    _, _, judged = README.partition("## How a forecast is judged")
    judged = judged.partition("## The command")[0]
    firsts = (
        re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE) for part in judged.split("|---|---|")
    )
    tables = [re.findall(r"`(\w+)`", " ".join(cells)) for cells in firsts]
    assert tables[2:] == [list(SCORES), [*FIGURES, *FLOWS], list(PortfolioSpec.model_fields)]


def test_the_defaults_of_the_portfolio_in_the_readme_are_those_of_the_code():
    _, _, part = README.partition("`[evaluation.portfolio]` sets")
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", part, re.MULTILINE))
    for name, value in PortfolioSpec().model_dump(exclude={"capacity"}).items():
        if value is None:
            assert shown[name] in ("none", "the horizon")
        else:
            assert json.loads(shown[name]) == value, name

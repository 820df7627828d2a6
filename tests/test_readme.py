"""The README says what the code does."""

import re
from pathlib import Path

from tasks.ingest.providers import PROVIDERS
from tasks.ingest.rules import RULES

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_rules_in_the_readme_are_the_rules_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| (refuse|hold|flag) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(name, rule.severity, rule.text) for name, rule in RULES.items()]


def test_every_provider_has_a_row_in_the_readme():
    assert set(re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", README, re.MULTILINE)) >= set(PROVIDERS)

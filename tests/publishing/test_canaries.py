import re

import pytest

from tasks.publishing.canaries import canaries_said, selection_said

FOUND = {"code": "a", "planted": 28, "noticed": 28, "missed": [], "sound": 20, "alarms": 0}


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({}, "a", "28 of 28 planted leaks noticed, 0 alarms in 20 sound worlds"),
        ({}, "b", "0 alarms in 20 sound worlds; measured on other code than this"),
        ({"noticed": 27, "missed": ["x in world 1"]}, "a", "27 of 28 .*; missed: x in world 1"),
    ],
)
def test_recall_and_alarms_are_said_with_what_was_missed_and_on_which_code(changes, code, said):
    assert re.search(f"{said}$", canaries_said(FOUND | changes, code))


SEARCH = {"best_of": "20 x", "forgetting": "y is forgotten", "sound": 0.0025, "planted": 0.64}


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (
            {},
            "a",
            r"in 0\.2% of 400 worlds \(7\.2% allowed: no alarm\), and in 64\.0% .* \(noticed\)",
        ),
        ({"sound": 0.08}, "a", r"8\.0% of 400 worlds \(7\.2% allowed: an alarm\).* \(noticed\)"),
        ({"planted": 0.07}, "b", r"\(missed\); measured on other code than this"),
    ],
)
def test_the_search_on_noise_is_said_with_what_its_level_allows(changes, code, said):
    part = {"code": "a", "worlds": 400, "allowed": 0.0718, "searches": [SEARCH, SEARCH | changes]}
    found = selection_said({"selection": part}, code)
    assert re.search(f"{said}$", found)
    assert found.startswith("the best of 20 x is called significant in 0.2% of 400 worlds")
    assert found.count("where y is forgotten (") == 2

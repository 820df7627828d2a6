import re

import pytest

from tasks.publishing.canaries import canaries_said

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

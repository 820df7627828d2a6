from email.utils import format_datetime
from random import Random

import pytest

from tasks.ingest.providers.traffic import (
    Backoff,
    CircuitBreaker,
    RunRefused,
    TokenBucket,
    Traffic,
    persist,
    retry_after,
)
from tests.ingest.yahoo.conftest import NIGHT

SENT = format_datetime(NIGHT, usegmt=True)
LATER = format_datetime(NIGHT.replace(minute=2), usegmt=True)


def breaker(fake_time, max_trips=3, max_wait=900.0):
    backoff = Backoff(20, 300, Random(0))
    return CircuitBreaker(max_trips, max_wait, backoff, fake_time.clock, fake_time.sleep)


def test_pauses_double_up_to_the_cap_and_lose_at_most_half():
    backoff = Backoff(2, 30, Random(7))
    for failures, longest in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (2000, 30)]:
        assert longest / 2 <= backoff.pause(failures) <= longest


def test_pauses_repeat_under_one_seed_and_differ_under_another():
    pauses = [[Backoff(2, 30, Random(seed)).pause(1)] for seed in (1, 1, 2)]
    assert pauses[0] == pauses[1] != pauses[2]


def test_a_burst_passes_at_once_and_the_rest_at_the_rate(fake_time):
    bucket = TokenBucket(4, 3, fake_time.clock, fake_time.sleep)
    for _ in range(7):
        bucket.take()
    assert fake_time.slept == pytest.approx([0.25] * 4)


def test_a_rest_fills_the_bucket_and_no_more(fake_time):
    bucket = TokenBucket(4, 3, fake_time.clock, fake_time.sleep)
    for _ in range(3):
        bucket.take()
    fake_time.sleep(100)
    fake_time.slept.clear()
    for _ in range(4):
        bucket.take()
    assert fake_time.slept == pytest.approx([0.25])


def test_after_a_refusal_everybody_waits_as_long_as_asked(fake_time):
    one = breaker(fake_time)
    one.refused(one.enter(), 30.0)
    one.enter()
    one.enter()
    assert fake_time.slept == [30.0]


def test_without_a_time_named_the_waits_grow(fake_time):
    one = breaker(fake_time, max_trips=4)
    for _ in range(3):
        one.refused(one.enter(), None)
    one.enter()
    assert [10 <= a <= 20 and 20 <= b <= 40 and 40 <= c <= 80 for a, b, c in [fake_time.slept]]
    assert len(fake_time.slept) == 3


def test_refusals_in_a_row_end_the_run_without_a_last_wait(fake_time):
    one = breaker(fake_time, max_trips=3)
    for _ in range(3):
        one.refused(one.enter(), 5.0)
    with pytest.raises(RunRefused, match=r"HTTP 429\) 3 times in a row"):
        one.enter()
    assert fake_time.slept == [5.0, 5.0]


def test_an_answer_between_refusals_starts_the_count_anew(fake_time):
    one = breaker(fake_time, max_trips=2)
    for _ in range(5):
        one.refused(one.enter(), 5.0)
        one.answered(one.enter())
    one.enter()
    assert fake_time.slept == [5.0] * 5


def test_requests_under_way_together_count_as_one_trip(fake_time):
    one = breaker(fake_time, max_trips=2)
    tickets = [one.enter() for _ in range(8)]
    for ticket in tickets:
        one.refused(ticket, None)
    one.enter()
    assert fake_time.slept == pytest.approx([Backoff(20, 300, Random(0)).pause(1)])


def test_a_late_refusal_may_ask_for_a_longer_wait(fake_time):
    one = breaker(fake_time)
    early, late = one.enter(), one.enter()
    one.refused(early, 10.0)
    one.refused(late, 25.0)
    one.enter()
    assert fake_time.slept == [25.0]


def test_an_answer_to_an_early_question_does_not_reset_the_count(fake_time):
    one = breaker(fake_time, max_trips=2)
    early, other = one.enter(), one.enter()
    one.refused(early, 1.0)
    one.answered(other)
    one.refused(one.enter(), 1.0)
    with pytest.raises(RunRefused):
        one.enter()


def test_waits_beyond_the_longest_end_the_run_at_once(fake_time):
    one = breaker(fake_time, max_wait=100)
    one.refused(one.enter(), 60.0)
    one.refused(one.enter(), 60.0)
    with pytest.raises(RunRefused, match="60 s more, after 60 s, is beyond max_wait_seconds=100"):
        one.enter()
    assert fake_time.slept == [60.0]


def test_who_waits_for_a_token_meets_a_breaker_opened_meanwhile(fake_time):
    one = breaker(fake_time)
    slept = []

    def sleep(seconds):
        if not slept:
            one.refused(0, 50.0)
        slept.append(seconds)
        fake_time.sleep(seconds)

    gate = Traffic(TokenBucket(1, 1, fake_time.clock, sleep), one)
    gate.enter()
    assert gate.enter() == 1
    # One second for the token, within the fifty of the breaker.
    assert fake_time.slept == pytest.approx([1.0, 49.0])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": "30"}, 30.0),
        ({"Retry-After": LATER, "Date": SENT}, 120.0),
        ({"Retry-After": SENT, "Date": LATER}, None),
        ({"Retry-After": LATER}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(("good_from", "asked"), [(0, 1), (2, 3), (3, 4), (9, 4)])
def test_what_heals_is_asked_again_up_to_the_last_attempt(fake_time, good_from, asked):
    numbers = []

    def ask(number):
        numbers.append(number)
        return number >= good_from

    found = persist(ask, lambda good: not good, 4, Backoff(1, 30, Random(0)), fake_time.sleep)
    assert found is (good_from < 4)
    assert numbers == list(range(asked))
    assert len(fake_time.slept) == asked - 1

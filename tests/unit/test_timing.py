"""When a schedule is due: cron expressions, time zones, summer time, intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gostage_core.scheduling.plan import NEVER, following
from gostage_core.scheduling.timing import Timing

MINUTE = 60_000
DAY = 86_400_000


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """Return a moment that a clock in *zone* shows; *fold* 1 where it shows it a second time."""
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return round(at.timestamp() * 1000)


def shown(timing: Timing, after: str, count: int, zone: str | None = None) -> list[str]:
    """Return the next times, as clocks in the zone show them, with what they are ahead of UTC."""
    clock = ZoneInfo(zone or timing.timezone)
    return [
        f"{datetime.fromtimestamp(at / 1000, clock):%Y-%m-%d %H:%M%z}"
        for at in islice(timing.times(ms(after, clock.key)), count)
    ]


# Cron


@pytest.mark.parametrize(
    ("cron", "after", "times"),
    [
        ("*/20 * * * *", "2026-03-01 10:00", ["10:20", "10:40", "11:00"]),
        ("5/20 * * * *", "2026-03-01 10:00", ["10:05", "10:25", "10:45"]),
        ("0 9-11 * * *", "2026-03-01 09:30", ["10:00", "11:00", "09:00"]),
        ("30 8,20 * * *", "2026-03-01 09:00", ["20:30", "08:30", "20:30"]),
    ],
)
def test_a_cron_expression_names_minutes_and_hours(cron: str, after: str, times: list[str]) -> None:
    assert [one[11:16] for one in shown(Timing(cron=cron), after, 3)] == times


@pytest.mark.parametrize(
    ("cron", "dates"),
    [
        ("0 0 1 * *", ["2026-04-01", "2026-05-01"]),
        ("0 0 31 * *", ["2026-03-31", "2026-05-31"]),
        ("0 0 * * mon", ["2026-03-16", "2026-03-23"]),
        ("0 0 * * 0", ["2026-03-15", "2026-03-22"]),
        ("0 0 * * 7", ["2026-03-15", "2026-03-22"]),
        ("0 0 * jun,JUL *", ["2026-06-01", "2026-06-02"]),
        ("0 0 L * *", ["2026-03-31", "2026-04-30"]),
        ("0 0 * * FRI#2", ["2026-03-13", "2026-04-10"]),
        ("0 0 13 * FRI", ["2026-03-13", "2026-03-20"]),  # either of both, as cron has it
        ("0 0 */2 * FRI", ["2026-03-13", "2026-03-27"]),  # both, for a star is part of it
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29"]),
    ],
)
def test_a_cron_expression_names_days(cron: str, dates: list[str]) -> None:
    found = shown(Timing(cron=cron), "2026-03-12 12:00", 2)
    assert [one[:10] for one in found] == dates
    assert all(one[11:] == "00:00+0000" for one in found)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("@hourly", ["2026-02-28 23:00", "2026-03-01 00:00"]),
        ("@daily", ["2026-03-01 00:00", "2026-03-02 00:00"]),
        ("@midnight", ["2026-03-01 00:00", "2026-03-02 00:00"]),
        ("@weekly", ["2026-03-01 00:00", "2026-03-08 00:00"]),
        ("@monthly", ["2026-03-01 00:00", "2026-04-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("@annually", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ],
)
def test_what_cron_has_names_for_has_them_here(name: str, times: list[str]) -> None:
    for text in (name, name.upper(), f"  {name} "):
        found = shown(Timing(cron=text), "2026-02-28 22:30", 2)
        assert [one[:16] for one in found] == times


def test_an_expression_is_kept_in_one_line() -> None:
    assert Timing(cron=" 0\t3  * *\n*").text == "0 3 * * * UTC"


def test_leap_days_come_where_the_calendar_has_them() -> None:
    leap = Timing(cron="0 0 29 2 *")
    assert [one[:4] for one in shown(leap, "2094-01-01 00:00", 2)] == ["2096", "2104"]
    daily = shown(Timing(cron="@daily"), "2028-02-28 12:00", 2)
    assert [one[5:10] for one in daily] == ["02-29", "03-01"]


@pytest.mark.parametrize(
    "cron",
    [
        "", "x", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 *", "* * * * 8", "*/0 * * * *", "9-8 * * * *", "0 0 30 2 *", "0 0 31 4,6,9 *",
        "@reboot", "@every 5m", "@", "0 0 * * mon#6", "1,,2 * * * *", "* * * * *; rm",
        "\uff10 0 * * *", "0 " * 150,
    ],
)  # fmt: skip
def test_what_is_no_cron_expression_or_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError):
        Timing(cron=cron)


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "europe/berlin", "../etc/passwd", "+02:00", "a\0b"]
)
def test_a_time_zone_that_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        Timing(cron="@daily", timezone=zone)


def test_a_schedule_has_either_an_expression_or_an_interval() -> None:
    for both in ({}, {"cron": "@daily", "every": 60}):
        with pytest.raises(ValidationError, match="either cron= or every="):
            Timing.model_validate(both)


# Summer time: hours that clocks leave out, and that they show twice


@pytest.mark.parametrize(
    ("zone", "day", "cron", "times"),
    [
        ("Europe/Berlin", "2026-03-28", "30 2 * * *",
         ["03-29 03:00+0200", "03-30 02:30+0200"]),
        ("America/New_York", "2026-03-07", "30 2 * * *",
         ["03-08 03:00-0400", "03-09 02:30-0400"]),
        ("Australia/Lord_Howe", "2026-10-03", "15 2 * * *",  # half an hour alone
         ["10-04 02:30+1100", "10-05 02:15+1100"]),
        ("America/Havana", "2026-03-07", "0 0 * * *",  # there is no midnight
         ["03-08 01:00-0400", "03-09 00:00-0400"]),
        ("Europe/Berlin", "2026-03-28", "0 3 * * *",
         ["03-29 03:00+0200", "03-30 03:00+0200"]),
        ("Europe/Berlin", "2026-03-28", "0,30 2 * * *",  # twice nothing is once
         ["03-29 03:00+0200", "03-30 02:00+0200", "03-30 02:30+0200"]),
        ("Pacific/Apia", "2011-12-29", "0 11 * * *",  # where a whole day was left out
         ["12-31 00:00+1400", "12-31 11:00+1400"]),
    ],
)  # fmt: skip
def test_what_falls_into_a_missing_hour_is_due_right_after_it(
    zone: str, day: str, cron: str, times: list[str]
) -> None:
    found = shown(Timing(cron=cron, timezone=zone), f"{day} 12:00", len(times))
    assert [one[5:] for one in found] == times


@pytest.mark.parametrize(
    ("zone", "day", "cron", "times"),
    [
        ("Europe/Berlin", "2026-10-24", "30 2 * * *",
         ["10-25 02:30+0200", "10-26 02:30+0100"]),
        ("America/New_York", "2026-10-31", "30 1 * * *",
         ["11-01 01:30-0400", "11-02 01:30-0500"]),
        ("Australia/Lord_Howe", "2026-04-04", "45 1 * * *",
         ["04-05 01:45+1100", "04-06 01:45+1030"]),
    ],
)  # fmt: skip
def test_what_falls_into_an_hour_that_comes_twice_is_due_once(
    zone: str, day: str, cron: str, times: list[str]
) -> None:
    found = shown(Timing(cron=cron, timezone=zone), f"{day} 12:00", len(times))
    assert [one[5:] for one in found] == times


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_every_hour_that_there_is_has_its_time(day: str, hours: int) -> None:
    hourly = Timing(cron="0 * * * *", timezone="Europe/Berlin")
    begin = ms(f"{day} 00:00", "Europe/Berlin")
    next_day = (datetime.fromisoformat(day) + timedelta(days=1)).isoformat()
    end = ms(next_day, "Europe/Berlin")
    found = [at for at in islice(hourly.times(begin - 1), 40) if at < end]
    assert len(found) == hours
    assert {b - a for a, b in pairwise(found)} == {60 * MINUTE}


def test_who_looks_between_the_two_hours_of_one_name_finds_the_next_day() -> None:
    daily = Timing(cron="30 2 * * *", timezone="Europe/Berlin")
    for fold in (0, 1):
        at = ms("2026-10-25 02:40", "Europe/Berlin", fold)
        assert daily.after(at) == ms("2026-10-26 02:30", "Europe/Berlin")


def test_a_zone_that_is_not_given_needs_no_time_zones_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def knows_nothing(name: str) -> ZoneInfo:
        raise AssertionError(f"asks the machine for {name}")

    monkeypatch.setattr("gostage_core.scheduling.timing.ZoneInfo", knows_nothing)
    daily = Timing(cron="@daily")
    assert daily.after(0) == DAY


# Intervals


def test_an_interval_counts_from_its_anchor() -> None:
    timing = Timing(every=90, anchor=1_000)
    assert list(islice(timing.times(1_000), 3)) == [91_000, 181_000, 271_000]
    assert timing.after(180_999) == 181_000
    assert timing.after(181_000) == 271_000
    assert timing.after(0) == 91_000, "the anchor itself is not a time"


@pytest.mark.parametrize("every", [1, 1.5, "90s", "1w", timedelta(days=3), "366d"])
def test_an_interval_is_any_duration_of_a_second_or_more(every: object) -> None:
    timing = Timing.model_validate({"every": every})
    first, second = islice(timing.times(0), 2)
    assert second == 2 * first
    assert first >= 1_000


@pytest.mark.parametrize("every", [0, 0.5, -1, "1 fortnight", float("inf"), "367d", True])
def test_an_interval_that_is_too_short_or_none_is_refused(every: object) -> None:
    with pytest.raises(ValidationError):
        Timing.model_validate({"every": every})


def test_people_are_told_when_it_is_due() -> None:
    assert Timing(every=90).text == "every 0:01:30"
    assert Timing(cron="@daily", timezone="Asia/Tokyo").text == "@daily Asia/Tokyo"


# For ever


def test_times_go_on_far_into_the_future() -> None:
    far = ms("2999-12-31 23:59")
    assert Timing(cron="@yearly").after(far) == ms("3000-01-01 00:00")
    assert Timing(every=3_600).after(far) == ms("3000-01-01 00:00")


def test_what_does_not_come_before_the_calendar_ends_is_due_never() -> None:
    timing = Timing(cron="0 0 29 2 *")
    assert following(timing, ms("2026-01-01 00:00")) < NEVER
    assert following(timing, NEVER - 1) == NEVER


CRONS = st.sampled_from(
    (
        "* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0,30 1-3 * * *", "15 */5 * * *",
        "0 0 * * *", "59 23 31 12 *", "0 12 * * mon", "0 3 L * *", "0 0 29 2 *", "45 1 * * 0",
    )
)  # fmt: skip
ZONES = st.sampled_from(
    (
        "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana",
        "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns",
    )
)  # fmt: skip
CRON_TIMINGS = st.builds(lambda cron, zone: Timing(cron=cron, timezone=zone), CRONS, ZONES)
INTERVALS = st.builds(
    lambda every, anchor: Timing(every=every, anchor=anchor),
    st.floats(1, 10_000_000),
    st.integers(0, 2_000_000_000_000),
)
TIMINGS = CRON_TIMINGS | INTERVALS
MOMENTS = st.integers(ms("1990-01-01 00:00"), ms("2070-01-01 00:00"))


@settings(deadline=None)
@given(timing=TIMINGS, at=MOMENTS)
def test_times_come_one_after_the_other_and_all_behind_the_moment(timing: Timing, at: int) -> None:
    found = list(islice(timing.times(at), 5))
    assert all(one < other for one, other in pairwise([at, *found]))


@settings(deadline=None)
@given(timing=TIMINGS, at=MOMENTS, back=st.integers(0, DAY))
def test_the_times_are_the_same_wherever_one_begins_to_look(
    timing: Timing, at: int, back: int
) -> None:
    wanted = timing.after(at)
    earlier = timing.times(at - back)
    assert next(one for one in islice(earlier, 100_000) if one > at) == wanted
    assert list(islice(timing.times(at), 3))[1:] == list(islice(timing.times(wanted), 2))


@settings(deadline=None)
@given(timing=TIMINGS, at=MOMENTS)
def test_the_last_time_is_the_one_behind_which_the_next_one_comes(timing: Timing, at: int) -> None:
    last = timing.last(at)
    if last is None:
        assert timing.anchor >= at - round((timing.every or 0) * 1000) or timing.cron is not None
        return
    assert last <= at < timing.after(last)
    assert timing.last(last) == last
    assert timing.after(last - 1) == last


@settings(deadline=None)
@given(timing=TIMINGS, at=MOMENTS, steps=st.integers(0, 50))
def test_times_between_two_of_them_are_counted(timing: Timing, at: int, steps: int) -> None:
    first, *others = islice(timing.times(at), steps + 1)
    assert timing.count(first, [first, *others][-1], 1_000) == steps
    assert timing.count(first, first, 1_000) == 0
    assert timing.count(first, first + 1, 1_000) == 1


def test_no_more_times_of_an_expression_are_counted_than_one_asks_for() -> None:
    timing = Timing(cron="* * * * *")
    assert timing.count(0, 10_000 * MINUTE, 100) == 100
    assert Timing(every=1).count(1_000, DAY, 100) == 86_399, "of an interval it costs nothing"


@settings(deadline=None)
@given(cron=CRONS, zone=ZONES, at=MOMENTS)
def test_clocks_of_the_zone_show_what_the_expression_says_or_have_left_it_out(
    cron: str, zone: str, at: int
) -> None:
    due = Timing(cron=cron, timezone=zone).after(at)
    clock = datetime.fromtimestamp(due / 1000, ZoneInfo(zone))
    minute = cron.split()[0]
    if minute.isdigit() and clock.minute != int(minute):
        before = datetime.fromtimestamp(due / 1000 - 60, ZoneInfo(zone))
        assert clock.utcoffset() != before.utcoffset()
    assert (clock.second, datetime.fromtimestamp(due / 1000, UTC).microsecond) == (0, 0)

"""Working days and calendar months. Working days exclude Saturdays, Sundays and French public holidays."""

from calendar import monthrange
from datetime import date, timedelta

import holidays


def add_working_days(day: date, number: int) -> date:
    """The `number`-th working day after `day`. Source: legal-gate, section 5.1."""
    closed = holidays.country_holidays("FR")
    while number:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in closed:
            number -= 1
    return day


def add_months(day: date, number: int) -> date:
    """`day`, `number` months later; the 31st becomes the last day of a shorter month."""
    months = day.year * 12 + day.month - 1 + number
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def last_day_of(day: date, months: int) -> date:
    """The last included day of a period of `months` months that starts on `day`."""
    return add_months(day, months) - timedelta(days=1)

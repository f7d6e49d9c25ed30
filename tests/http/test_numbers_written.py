"""Numbers as people write them: by the page's language, and without a guess where a sign can mean one thing alone."""

from __future__ import annotations

import pytest

from imgsearch.http.problem import Problem
from imgsearch.http.values import number
from imgsearch.page.urls import _written

EN, DE = (".", ","), (",", ".")
NUMBERS = [
    ("1299", 1299, 1299),
    ("1,299", 1299, 1.299),
    ("1.299", 1.299, 1299),
    ("1.299,00", 1299, 1299),
    ("1,299.00", 1299, 1299),
    ("1.299.000", 1299000, 1299000),
    ("1,299,000", 1299000, 1299000),
    ("1.299.000,5", 1299000.5, 1299000.5),
    ("19,99", 19.99, 19.99),
    ("19.99", 19.99, 19.99),
    ("19,9", 19.9, 19.9),
    ("0,5", 0.5, 0.5),
    (".5", 0.5, 0.5),
    (",5", 0.5, 0.5),
    ("1 299,50", 1299.5, 1299.5),
    ("1\N{NBSP}299.50", 1299.5, 1299.5),
    ("1\N{NARROW NO-BREAK SPACE}299", 1299, 1299),
    ("1'299.50", 1299.5, 1299.5),
    (" 12 ", 12, 12),
    ("+12", 12, 12),
    ("1299.000", 1299, 1299),
    ("1e3", 1000, 1000),
    ("\u0661\u0662\u0669\u0669", 1299, 1299),
    ("\u0661\u066c\u0662\u0669\u0669\u066b\u0665", 1299.5, 1299.5),
]
NO_NUMBERS = [
    "",
    "cheap",
    "1.29.9,0",
    "1,2,3",
    "1.299,00.5",
    "12,34,567",
    "1..5",
    "--1",
    "1e400",
    "nan",
    "-1",
    "\u00b2",
]


@pytest.mark.parametrize(("written", "english", "german"), NUMBERS)
def test_a_number_is_read_as_the_page_writes_numbers(written: str, english: float, german: float) -> None:
    assert number("price", written, 0, 1e9, EN) == english
    assert number("price", written, 0, 1e9, DE) == german


@pytest.mark.parametrize("marks", [EN, DE])
@pytest.mark.parametrize("written", NO_NUMBERS)
def test_what_is_no_number_is_refused(written: str, marks: tuple[str, str]) -> None:
    with pytest.raises(Problem, match="must be a number"):
        number("price", written, 0, 1e9, marks)


@pytest.mark.parametrize("value", [0.0, 1.299, 12.5, 1299.0, 999.999, 1234.567, 0.001, 1e9, 19.99])
@pytest.mark.parametrize("marks", [EN, DE])
def test_what_the_page_writes_into_its_addresses_it_reads_back(value: float, marks: tuple[str, str]) -> None:
    assert number("price", _written(value), 0, 1e9, marks) == value

import pytest

from roots.intervals import student, wilson


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    [(9, 10, 0.5958, 0.9821), (81, 263, 0.2553, 0.3662), (90, 100, 0.8256, 0.9448), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_those_of_published_tables(hits, tries, low, high):
    assert wilson(hits, tries) == pytest.approx((low, high), abs=1e-4)  # 81 of 263: Newcombe 1998


@pytest.mark.parametrize(("hits", "tries"), [(0, 3), (3, 3), (1, 1000)])
def test_an_interval_holds_its_share_and_stays_within_0_and_1(hits, tries):
    low, high = wilson(hits, tries)
    assert 0 <= low <= hits / tries + 1e-12
    assert hits / tries - 1e-12 <= high <= 1


def test_quantiles_of_student_are_those_of_published_tables():
    assert [student(degrees) for degrees in (1, 2, 10, 30, 31, 1000)] == [12.706, 4.303, 2.228, 2.042, 1.96, 1.96]

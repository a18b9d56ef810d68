import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitwave.analysis.rectangles import FINENESS, bounding_box, largest_rectangle


def brute_force(area: np.ndarray) -> int:
    ny, nx = area.shape
    sizes = [
        (v - u) * (q - p)
        for u in range(ny)
        for v in range(u + 1, ny + 1)
        for p in range(nx)
        for q in range(p + 1, nx + 1)
        if area[u:v, p:q].all()
    ]
    return max(sizes, default=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**31), st.sampled_from([0.5, 0.8, 0.95]))
def test_largest_rectangle_has_the_area_of_a_brute_force_search(ny, nx, seed, share):
    area = np.random.default_rng(seed).random((ny, nx)) < share
    rows, columns = largest_rectangle(area)
    assert area[rows, columns].all()
    assert area[rows, columns].size == brute_force(area)


def test_rectangle_in_a_large_disc_is_close_to_the_inscribed_square():
    r = np.arange(-900, 901)
    rows, columns = largest_rectangle(np.hypot(r[:, None], r) < 880)
    assert rows.stop - rows.start == pytest.approx(880 * np.sqrt(2), abs=4 * 1761 / FINENESS)
    assert (np.hypot(r[rows][:, None], r[columns]) < 880).all()


def test_bounding_box_is_the_smallest_that_contains_all_pixels():
    area = np.zeros((9, 8), bool)
    area[2, 3] = area[6, 5] = True
    assert bounding_box(area) == (slice(2, 7), slice(3, 6))
    assert bounding_box(np.zeros((4, 4), bool)) == (slice(0, 0), slice(0, 0))

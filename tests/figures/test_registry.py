from functools import partial

import pytest
from known import known_result

from exitwave.figures import plot_all, positions_figure, registry
from exitwave.figures.registry import Caption, Plot, Subject, plots_of, register
from exitwave.figures.report import render_report


@pytest.fixture
def result():
    return known_result()


def test_plots_of_a_new_figure_file_are_in_the_folder_and_the_report(result, tmp_path, monkeypatch):
    plots_of(Subject(result))
    monkeypatch.setattr(registry, "_REGISTERED", [])

    @register(order=5)
    def _plots(subject):
        draw = partial(positions_figure, subject.data.positions)
        yield Plot(draw, "new", Caption("Object", "A new figure", "Caption of the new figure."))

    assert [path.name for path in plot_all(result, tmp_path)] == ["new.png"]
    assert "Caption of the new figure." in render_report(result)


def test_plots_are_sorted_by_their_order(result, monkeypatch):
    plots_of(Subject(result))
    monkeypatch.setattr(registry, "_REGISTERED", [])
    for order in (3, 1, 2):
        register(order=order)(lambda subject, order=order: [Plot(lambda: None, str(order))])
    assert [plot.name for plot in plots_of(Subject(result))] == ["1", "2", "3"]


def test_comparison_needs_a_result_with_a_truth(result):
    assert Subject(result).comparison is not None
    assert Subject(result.scan).comparison is None

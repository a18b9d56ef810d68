"""The report is one file without dependencies, is complete, and escapes text from files."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from known import known_result

from exitwave.analysis.diagnosis import diagnose
from exitwave.engine.recipe import make_recipe
from exitwave.errors import OutputError
from exitwave.figures import report
from exitwave.figures.registry import Subject, plots_of
from exitwave.figures.report import render_report, write_report
from exitwave.findings import finding
from exitwave.frames import Frames, MissingFrames
from exitwave.frc import frc
from exitwave.scan import Decision

VOID = {"meta", "img", "link", "br", "hr", "input"}
NASTY = "<script>alert('x')</script> & \"co\""


class Page(HTMLParser):
    """A parsed page, whose tags must be closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.pieces, self.images = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.pieces).split())

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def result():
    made = known_result(modes=2)
    counts = np.random.default_rng(0).poisson(2.0, made.scan.patterns.shape).astype(np.uint16)
    scan = replace(
        made.scan,
        patterns=Frames(counts),
        name=NASTY,
        instrument="26-ID",
        left_out={"the beam was off": (7, 8, 9)},
        preparation=(Decision("crop", "window", {"rows": [0, 96]}, "the speckles are there"),),
        findings=(finding("W204", "/positions", "micrometres", "metres", "Multiplied by 1e-6"),),
    )
    moved = np.random.default_rng(1).normal(0, 5e-9, made.positions.shape)
    return replace(
        made,
        scan=scan,
        positions=made.positions + moved,
        frc=frc(made.object, made.object + 0.1, made.object_pixel),
        choices=(Decision("modes", "two", {"modes": 2}, "the beam is partly coherent"),),
        recipe=make_recipe({"iterations": 21, "position_update": True}).model_dump(mode="json"),
        provenance={"command": f"exitwave reconstruct {NASTY}", "digest": "sha256:0123", "date": "2026-01-02T03:04:05"},
    )


@pytest.fixture(scope="module")
def html(result):
    return render_report(result)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_needs_no_other_file_and_no_script(page):
    assert not page.named("script")
    assert not page.named("link")
    assert not page.named("iframe")
    assert all(image["src"].startswith("data:image/") for image in page.images)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_text_from_files_is_escaped(page):
    assert page.text.count(NASTY) >= 3  # title, heading, command
    assert page.named("html")[0]["lang"] == "en"


def test_images_are_png_and_curves_svg_and_all_have_alternative_text(page):
    kinds = {image["alt"].split(",")[0]: image["src"].partition(";")[0] for image in page.images}
    assert {alt: kind.rpartition("/")[2] for alt, kind in kinds.items()} == {
        "Amplitude of the object": "png",
        "Phase of the object": "png",
        "Probe modes in complex colours": "png",
        "Error metric over 20 iterations": "svg+xml",
        "Fourier ring correlation of two halves of the scan": "svg+xml",
        "Fourier ring correlation with the truth": "svg+xml",
        "Scan positions on the sample": "png",
        "Photons per object pixel": "png",
        "Refinement of the positions": "png",
        "Mean diffraction pattern and one frame": "png",
    }
    assert len(page.named("figcaption")) == len(page.images)
    for image in page.images:
        start = base64.b64decode(image["src"].partition(",")[2])[:8]
        assert start in (b"\x89PNG\r\n\x1a\n", b"<?xml ve")


def test_page_has_all_content(page):
    for text in (
        "26-ID · 2026-01-02",
        "used 25 83.3% all others",
        "held out to judge the result 2 6.7% 2, 5",
        "the beam was off 3 10.0% 7–9",
        "total 30",
        "crop window the speckles are there rows: [0, 96]",
        "modes two the beam is partly coherent modes: 2",
        "iterations: 21 position_update: true",
        "warning /positions W204 micrometres; expected metres",
        "digest of the input sha256:0123",
        "object pixel 12 nm x 10 nm",
        "Estimated error of the image: ",
        "Problems and remedies",
    ):
        assert text in page.text
    assert "largest" not in page.text.partition("All settings")[0]
    assert "largest" in page.text.partition("All settings")[2]


def test_diagnoses_are_those_of_the_result(result, page):
    diagnoses = diagnose(result)
    assert diagnoses
    for diagnosis in diagnoses:
        name = f"{diagnosis.level} {diagnosis.what.capitalize()} {diagnosis.code}"
        assert f"{name} {diagnosis.evidence} {diagnosis.consequence}" in page.text


def test_page_is_small_and_reproducible(result, html):
    assert render_report(result) == html
    assert len(html) < 3_000_000


def test_page_has_print_styles(html):
    style = re.search(r"<style>(.*)</style>", html, re.DOTALL)[1]
    assert "size: A4" in style
    assert "@media print" in style
    assert "break-inside: avoid" in style
    assert style.count("{") == style.count("}")


def test_report_of_a_result_without_frames(result):
    frames = MissingFrames(Path("gone.cxi"), "/entry_1/data_1/data", result.scan.patterns.shape)
    page = Page(render_report(replace(result, scan=replace(result.scan, patterns=frames))))
    assert "The frames of this result are missing" in page.text
    assert "Mean pattern" not in page.text
    assert len(page.images) == 9


def test_report_of_a_scan(result):
    page = Page(render_report(result.scan))
    assert "not reconstructed yet" in page.text
    assert "used 27 90.0% all others" in page.text
    assert [image["alt"] for image in page.images] == [
        "Scan positions on the sample",
        "Mean diffraction pattern and one frame",
        "Starting probe in complex colours",
    ]
    assert "Settings" not in page.text.partition("Preparation of the scan")[0]


def test_multislice_object_has_one_figure_of_all_slices(result):
    thick = replace(result, object=np.stack([result.object] * 2), z=np.array([0, 1e-6]))
    captions = [plot.caption for plot in plots_of(Subject(thick)) if plot.caption is not None]
    (caption,) = (caption for caption in captions if caption.section == "Object")
    assert caption.alt == "Amplitude and phase of 2 slices"
    assert caption.wide


def test_existing_report_is_replaced_only_with_overwrite(result, html, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "render_report", lambda *_: html)
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write_report(result, target)
    assert target.read_text() == "mine"
    assert write_report(result, target, overwrite=True) == target
    assert target.read_text(encoding="utf-8") == html
    assert list(tmp_path.iterdir()) == [target]

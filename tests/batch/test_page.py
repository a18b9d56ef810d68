"""The summary page of a batch."""

from exitwave.batch.page import write_page
from exitwave.batch.task import Row


def test_names_and_messages_are_escaped(tmp_path):
    page = write_page([Row("/x/<script>.cxi", "failed", "<b>no</b>")], tmp_path).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>" not in page

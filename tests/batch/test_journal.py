"""The journal of a folder of results."""

import pytest

from exitwave.batch import journal
from exitwave.errors import OutputError


def test_a_journal_that_cannot_be_read_equals_no_request(tmp_path):
    (tmp_path / journal.NAME).write_text("[]")
    with pytest.raises(OutputError, match="results of other settings"):
        journal.open_journal(tmp_path, {}, [], overwrite=False)
    assert journal.open_journal(tmp_path, {"a": 1}, [], overwrite=True).request == {"a": 1}
    assert journal.open_journal(tmp_path, {"a": 1}, [], overwrite=False) == journal.Journal({"a": 1})


def test_existing_results_become_stale_with_overwrite(tmp_path):
    result = tmp_path / "scan_result.cxi"
    result.write_text("a result")
    with pytest.raises(OutputError, match=r"scan_result\.cxi, and no batch\.json"):
        journal.open_journal(tmp_path, {"a": 1}, [result], overwrite=False)
    opened = journal.open_journal(tmp_path, {"a": 1}, [result], overwrite=True)
    assert opened.stale == {"scan_result.cxi": journal.stamp(result)}

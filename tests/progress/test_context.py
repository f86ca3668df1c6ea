"""History for the model: the newest words of one client, within a budget, and the read is on record."""

from __future__ import annotations

from pe_ray.progress.context import recent
from pe_ray.progress.journal import Journal


def test_the_newest_entries_that_fit(journal: Journal, entry) -> None:
    journal.append([entry(f"e{i}", f"entry {i} " + "x" * 90) for i in range(6)] + [entry("b", "bob's", client="bob")])
    found = recent(journal, "ada", limit=4, max_chars=250)
    assert [item.id for item in found] == ["e5", "e4"]
    assert [item.score for item in found] == [1, 0.5]
    assert found[0].origin == "journal:note"
    assert journal.history("ada")[0][-1]["action"] == "context.read"

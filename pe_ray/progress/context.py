"""A client's recent history as context for the model: their own entries, newest first, within a budget."""

from __future__ import annotations

from pe_ray.progress.journal import Journal
from pe_ray.record import ContextItem
from pe_ray.security.access import LOCAL
from pe_ray.security.api_keys import Principal


def recent(
    journal: Journal, client_id: str, *, limit: int = 10, max_chars: int = 4000, who: Principal = LOCAL
) -> list[ContextItem]:
    """The last entries of one client as context items, newest first, at most `max_chars` characters together.

    Only this client's key is used, so another client's words cannot be among them. The score falls with age: 1, 1/2,
    1/3, ... The read is audited. Raises ClientNotFound.
    """
    found: list[ContextItem] = []
    entries = journal.entries.latest(client_id, limit)
    journal.note_read(who, "context.read", client_id)
    for entry in entries:
        text = entry["text"] or ""
        if text and sum(len(item.text) for item in found) + len(text) <= max_chars:
            found.append(ContextItem(entry["id"], text, f"journal:{entry['kind']}", 1 / (len(found) + 1)))
    return found

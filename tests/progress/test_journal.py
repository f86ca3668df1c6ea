"""Entries come back to their own client, once, in order; what was touched is noticed; nothing is readable on disk."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, text, update

from pe_ray.errors import ClientNotFound, DatabaseTooNew, UserError
from pe_ray.progress.journal import Journal, verify_audit
from pe_ray.progress.repository import Repository
from pe_ray.progress.tables import ENTRY, REFUSED
from pe_ray.record import JournalEntry
from pe_ray.security.access import OPERATOR
from pe_ray.security.audit import AUDIT
from pe_ray.security.envelope import DataKey, Place, seal
from pe_ray.security.keys import Keys
from pe_ray.security.transit import seal_entry
from pe_ray.store.paths import Home
from tests.progress.conftest import Clock, sqlite_only

CANARY = "canary-c3f9-sorrow"
Make = Callable[..., JournalEntry]


def ids(journal: Journal, client: str = "ada") -> list[str]:
    return [item["id"] for item in journal.items(client)[0]]


def test_an_entry_comes_back_with_its_response(journal: Journal) -> None:
    body = {"text": "hello", "response": "hi", "safety": {"level": 0}}
    journal.append([JournalEntry("e1", "ada", "2026-01-01T10:00:00+01:00", "message", body, "r1", "s1")])
    items, following = journal.items("ada")
    assert following is None
    assert items == [
        {
            "id": "e1",
            "response_id": "r1",
            "at": "2026-01-01T09:00:00Z",
            "kind": "message",
            "author": "dev",
            "session_id": "s1",
            "text": "hello",
            "response": "hi",
            "safety": {"level": 0},
        }
    ]
    assert [s["id"] for s in journal.sessions.list("ada")] == ["s1"]


def test_append_keeps_each_id_once_with_its_audit_row(journal: Journal, entry: Make) -> None:
    assert journal.append([entry("e1", "first"), entry("e2"), entry("e1", "again")]) == ["e1", "e2", "e1"]
    assert journal.append([entry("e1", "later"), entry("e3")]) == ["e1", "e3"]
    items, _ = journal.items("ada")
    assert [(i["id"], i["text"]) for i in items] == [("e1", "first"), ("e2", "I slept well"), ("e3", "I slept well")]
    actions = [(h["action"], h["object_ref"]) for h in journal.history("ada")[0]]
    assert actions[:3] == [("journal.append", f"e{i}") for i in (1, 2, 3)]


def test_two_clients_may_use_the_same_id(journal: Journal, entry: Make) -> None:
    journal.append([entry("e1", "mine"), entry("e1", "yours", client="bob")])
    assert [journal.items(c)[0][0]["text"] for c in ("ada", "bob")] == ["mine", "yours"]


def test_pages_follow_each_other_without_gap_or_overlap(journal: Journal, entry: Make) -> None:
    journal.append([entry(f"e{i:02}") for i in range(25)])
    journal.append([entry("other", client="bob")])
    seen, after = [], None
    for size in (10, 10, 5):
        page, after = journal.items("ada", after, 10)
        assert len(page) == size
        seen += [item["id"] for item in page]
    assert after is None
    assert seen == [f"e{i:02}" for i in range(25)]
    with pytest.raises(UserError, match="no entry of that id"):
        journal.items("ada", "other")


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "diary"}, {"at": "yesterday"}, {"id": "../e"}, {"client": ""}, {"session_id": "a\0b"}, {"at": None}],
)
def test_one_unsound_entry_keeps_the_call_out(journal: Journal, entry: Make, wrong: dict) -> None:
    with pytest.raises(UserError) as caught:
        journal.append([entry("e1", CANARY), entry(**{"id": "e2", "text": CANARY, **wrong})])
    assert CANARY not in str(caught.value)
    with pytest.raises(ClientNotFound):
        journal.items("ada")


def test_unknown_clients_are_all_alike(journal: Journal) -> None:
    for call in (journal.items, journal.history, journal.export, journal.goals.list, journal.sessions.list):
        with pytest.raises(ClientNotFound, match=r"^no such client$"):
            call("nobody")


def test_a_touched_row_is_noticed_and_hides_nobody_else(
    journal: Journal, entry: Make, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([entry("e1", CANARY), entry("e2", "whole"), entry("b1", client="bob")])
    repo: Repository = journal._repo
    with repo.reading() as c:
        row = c.execute(select(ENTRY).where(ENTRY.c.id == "e1")).mappings().one()
    opened = 0
    for bit in range(len(row["body"]) * 8):
        changed = bytearray(row["body"])
        changed[bit // 8] ^= 1 << bit % 8
        opened += repo.opened(ENTRY, "body", {**row, "body": bytes(changed)}) is not None
    assert opened == 0
    repo.write(lambda c: c.execute(update(ENTRY).where(ENTRY.c.id == "e1").values(body=row["body"][:-1] + b"x")))
    items, _ = journal.items("ada")
    assert [(i["id"], i["text"], i.get("unreadable")) for i in items] == [("e1", None, True), ("e2", "whole", None)]
    assert "entry e1 cannot be opened" in caplog.text
    assert CANARY not in caplog.text


def test_a_row_moved_to_another_client_or_place_does_not_open(journal: Journal, entry: Make) -> None:
    journal.append([entry("e1", CANARY), entry("e2"), entry("b1", client="bob")])
    repo = journal._repo
    with repo.reading() as c:
        mine = c.execute(select(ENTRY).where(ENTRY.c.id == "e1")).mappings().one()
    for elsewhere in ({"client_id": "bob"}, {"id": "e2"}):
        assert repo.opened(ENTRY, "body", {**mine, **elsewhere}) is None
    repo.write(lambda c: c.execute(update(ENTRY).where(ENTRY.c.id == "b1").values(body=mine["body"])))
    assert journal.items("bob")[0][0].get("unreadable") is True


def test_the_audit_chain_names_the_row_that_was_touched(journal: Journal, home: Home, entry: Make) -> None:
    journal.append([entry(f"e{i}") for i in range(20)])
    assert journal.verify().rows == 20
    for attack in (
        lambda c: c.execute(update(AUDIT).where(AUDIT.c.seq == 7).values(actor="nobody")),
        lambda c: c.execute(delete(AUDIT).where(AUDIT.c.seq == 7)),
        lambda c: c.execute(delete(AUDIT).where(AUDIT.c.seq >= 7)),
    ):
        with journal._repo._engine.connect() as c, c.begin() as transaction:
            attack(c)
            from pe_ray.security.audit import verify

            assert verify(c).first_bad_seq == 7
            transaction.rollback()
    assert verify_audit(home).first_bad_seq is None


def test_deliveries_are_kept_once_and_what_cannot_be_used_is_set_aside(
    journal: Journal, home: Home, entry: Make
) -> None:
    keys = Keys(home)
    good = [(f"e{i}", seal_entry(keys, entry(f"e{i}"))) for i in range(3)]
    bad = [
        ("x1", seal(DataKey(1, bytes(32)), b"{}", Place("outbox", "parcel", ""))),
        ("x2", b"nonsense"),
        ("x3", seal_entry(keys, entry("x3", kind="poem"))),
    ]
    for _ in range(2):
        done = journal.deliver([good[0], bad[0], good[1], bad[1], bad[2], good[2]])
        assert (done.stored, done.refused) == (["e0", "e1", "e2"], ["x1", "x2", "x3"])
    assert ids(journal) == ["e0", "e1", "e2"]
    assert {h["actor"] for h in journal.history("ada")[0]} == {OPERATOR.id, "local"}
    with journal._repo.reading() as c:
        rows = c.execute(select(REFUSED).order_by(REFUSED.c.id)).all()
    assert [(r.id, r.reason) for r in rows] == [("x1", "SealError"), ("x2", "SealError"), ("x3", "UserError")]
    assert rows[0].sealed == bad[0][1]


def test_the_client_sees_who_looked(journal: Journal, entry: Make) -> None:
    journal.append([entry("e1"), entry("b1", client="bob")])
    journal.items("ada")
    journal.export("ada", OPERATOR)
    log, following = journal.history("ada")
    assert [(h["role"], h["action"]) for h in log] == [
        ("dev", "journal.append"),
        ("dev", "journal.read"),
        ("operator", "export.read"),
    ]
    assert following is None
    page, following = journal.history("ada", limit=2)
    assert len(page) == 2
    assert journal.history("ada", after=following)[0][0]["action"] == "export.read"


def test_an_export_holds_everything_and_is_json(journal: Journal, entry: Make) -> None:
    journal.append([entry("e1", "a word")])
    goal = journal.goals.add("ada", "walk daily")
    journal.goals.rate("ada", goal, 1)
    journal.goals.add_milestone("ada", goal, "ten minutes")
    journal.sessions.start("ada", summary="we met")
    journal.assessments.add("ada", "gad7", [1] * 7)
    found = json.loads(json.dumps(journal.export("ada")))
    assert found["entries"][0]["text"] == "a word"
    assert found["goals"][0]["ratings"][0]["level"] == 1
    assert found["goals"][0]["milestones"][0]["text"] == "ten minutes"
    assert found["sessions"][0]["summary"] == "we met"
    assert found["assessments"][0]["total"] == 7
    assert len(found["access_log"]) == 6


def test_an_erased_client_is_gone_and_the_chain_is_whole(journal: Journal, home: Home, entry: Make) -> None:
    journal.append([entry("e1", CANARY), entry("b1", client="bob")])
    with journal._repo.reading() as c:
        sealed = c.execute(select(ENTRY).where(ENTRY.c.id == "e1")).mappings().one()
    assert journal.erase("ada") is True
    with pytest.raises(ClientNotFound):
        journal.items("ada")
    assert journal._repo.opened(ENTRY, "body", sealed) is None
    assert ids(journal, "bob") == ["b1"]
    journal.append([entry("e9")])
    assert journal._repo.opened(ENTRY, "body", sealed) is None
    assert [h["action"] for h in journal.history("ada")[0]] == ["journal.append"]
    assert verify_audit(home).first_bad_seq is None


@sqlite_only
def test_no_byte_of_a_persons_words_is_readable_on_disk_or_in_a_log(
    home: Home, clock: Clock, entry: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        journal = Journal(home, Keys(home), clock=clock)
        journal.append([entry("e1", CANARY), entry("e2", CANARY * 500)])
        goal = journal.goals.add("ada", CANARY)
        journal.goals.add_milestone("ada", goal, CANARY)
        journal.sessions.start("ada", summary=CANARY)
        journal.deliver([("d1", seal_entry(Keys(home), entry("d1", CANARY))), ("d2", CANARY.encode()[:0])])
        with pytest.raises(UserError):
            journal.append([entry("e3", CANARY, kind="poem")])
        while_open = files(home)
        journal.close()
    assert len(while_open) > 5000
    assert CANARY.encode() not in while_open
    assert CANARY.encode() not in files(home)
    assert CANARY not in caplog.text


@sqlite_only
def test_scores_are_not_in_the_clear_either(journal: Journal, home: Home) -> None:
    journal.assessments.add("ada", "phq9", [3, 3, 3, 3, 3, 3, 3, 3, 0])
    with sqlite3.connect(f"file:{home.state / 'journal.db'}?mode=ro", uri=True) as c:
        row = c.execute("SELECT * FROM assessment").fetchone()
    assert 24 not in row
    assert sum(isinstance(value, bytes) for value in row) == 1


def test_a_newer_database_is_refused(home: Home, clock: Clock) -> None:
    journal = Journal(home, Keys(home), clock=clock)
    journal._repo.write(lambda c: c.execute(text("UPDATE schema_version SET version = 99")))
    journal.close()
    with pytest.raises(DatabaseTooNew, match="schema version 99 is newer than this pe_ray knows"):
        Journal(home, Keys(home))


def files(home: Home) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(home.state.rglob("*")) if p.is_file())

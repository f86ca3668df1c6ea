"""What a reviewer decided stands up only if the chain, the row, the key and the signature all do."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, update

from pe_ray.errors import KeyUnavailable, UserError
from pe_ray.security.audit import AUDIT
from pe_ray.security.decisions import Decision, Matter, checked, note, record
from pe_ray.security.keys import Keys
from pe_ray.security.reviewers import Signer, enrol, key_path, registered
from pe_ray.store.db import open_database
from pe_ray.store.ops import MIGRATIONS, REVIEW_DECISION, REVIEWER
from pe_ray.store.paths import Home

REASON = "Read twice; the reply is safe."


def matter(number: int) -> Matter:
    return Matter("therapy", f"record{number}", f"content{number}", ("suicidality", "child abuse"), 3)


@pytest.fixture
def signer(home: Home) -> Signer:
    keys = Keys(home)
    enrol(home, keys, "dr.vega")
    return Signer.of(home, keys, "dr.vega")


@pytest.fixture
def decided(home: Home, signer: Signer) -> list[Decision]:
    """Rows of the chain: 1 the key, 2 a look, 3 to 5 decisions."""
    note(home, "local", "review.show", "record", "record1")
    return [
        record(home, signer, matter(n), verb, REASON) for n, verb in ((1, "approve"), (2, "reject"), (1, "withdraw"))
    ]


def change(home: Home, work: Callable[[Connection], object]) -> None:
    engine = open_database(home.database("ops"), MIGRATIONS)
    with engine.begin() as connection:
        work(connection)


def test_decisions_come_back_in_their_order(home: Home, decided: list[Decision]) -> None:
    found = checked(home)
    assert [d.id for d in found.decisions] == [d.id for d in decided]
    assert (found.problems, found.chain.rows, found.chain.first_bad_seq) == ((), 5, None)
    assert set(found.decisions[0].matter.held_for) == {"suicidality", "child abuse"}
    assert REASON not in repr(found.decisions[0])


def test_nothing_is_decided_in_a_new_home_and_no_key_is_made_for_it(home: Home) -> None:
    assert checked(home).decisions == ()
    assert not home.keys.exists()


@pytest.mark.parametrize("reason", ["too short", " " * 20, "two lines\nof reasons", "a" * 2001, "nul \0 in the middle"])
def test_a_reason_is_a_line_of_words(home: Home, signer: Signer, reason: str) -> None:
    with pytest.raises(UserError, match="reason: has"):
        record(home, signer, matter(1), "approve", reason)
    assert checked(home).decisions == ()


@pytest.mark.parametrize("seq", [1, 2, 3, 5])
def test_a_tampered_audit_line_is_named_and_no_decision_is_believed(
    home: Home, decided: list[Decision], seq: int
) -> None:
    change(home, lambda c: c.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(actor="somebody")))
    found = checked(home)
    assert (found.chain.first_bad_seq, found.decisions) == (seq, ())
    assert found.problems[0].where == f"audit row {seq}"


CHANGES = {
    "content": "another",
    "held_for": json.dumps(["suicidality"]),
    "level": 0,
    "verb": "approve",
    "reviewer": "dr.moss",
    "reason": "Something else that was never said.",
    "at": "2020-01-01T00:00:00.000+00:00",
    "corpus": "other",
    "signature": b"x" * 64,
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_decision_is_not_believed(home: Home, decided: list[Decision], what: str) -> None:
    rejection = decided[1].id
    values = {what: CHANGES[what]}
    change(home, lambda c: c.execute(update(REVIEW_DECISION).where(REVIEW_DECISION.c.id == rejection).values(values)))
    found = checked(home)
    assert [d.id for d in found.decisions] == [decided[0].id, decided[2].id]
    assert [p.where for p in found.problems] == [f"decision {rejection}"]


def test_a_decision_moved_to_another_record_makes_both_undecided(home: Home, decided: list[Decision]) -> None:
    where = REVIEW_DECISION.c.id == decided[1].id
    change(home, lambda c: c.execute(update(REVIEW_DECISION).where(where).values(record_id="record1")))
    found = checked(home)
    assert found.decisions == ()
    assert {p.record_id for p in found.problems} == {"record1", "record2"}


def test_a_decision_that_has_gone_takes_the_others_about_its_record_with_it(
    home: Home, decided: list[Decision]
) -> None:
    change(home, lambda c: c.execute(delete(REVIEW_DECISION).where(REVIEW_DECISION.c.id == decided[2].id)))
    found = checked(home)
    assert [d.id for d in found.decisions] == [decided[1].id]
    assert [(p.where, p.what) for p in found.problems] == [("audit row 5", f"decision {decided[2].id} has gone")]


def test_a_copied_row_has_no_line_in_the_chain(home: Home, decided: list[Decision]) -> None:
    def copy(c: Connection) -> None:
        row = dict(c.execute(select(REVIEW_DECISION).where(REVIEW_DECISION.c.id == decided[1].id)).mappings().one())
        c.execute(insert(REVIEW_DECISION).values(row | {"id": "copy"}))

    change(home, copy)
    assert [(p.where, p.what) for p in checked(home).problems] == [("decision copy", "has no line in the audit chain")]


def test_a_signature_by_another_key_is_nobodys_however_well_it_is_chained(home: Home, signer: Signer) -> None:
    forged = record(home, Signer(signer.reviewer, Ed25519PrivateKey.generate()), matter(1), "approve", REASON)
    found = checked(home)
    assert (found.chain.first_bad_seq, found.decisions) == (None, ())
    assert [(p.where, p.what) for p in found.problems] == [
        (f"decision {forged.id}", "the signature is not that of dr.vega")
    ]


def test_a_reviewer_without_the_seal_of_the_home_is_nobody(home: Home, decided: list[Decision]) -> None:
    change(home, lambda c: c.execute(update(REVIEWER).values(seal=b"x" * 32)))
    found = checked(home)
    assert found.decisions == ()
    assert {p.what for p in found.problems} == {"reviewer dr.vega has no key on record"}


def test_a_private_key_is_its_owners_alone_and_must_be_the_one_on_record(home: Home, signer: Signer) -> None:
    path, keys = key_path(home, "dr.vega"), Keys(home)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert signer.reviewer.signed(b"words", signer.sign(b"words"))
    assert not signer.reviewer.signed(b"other words", signer.sign(b"words"))
    path.chmod(0o644)
    with pytest.raises(KeyUnavailable, match="lets others read"):
        Signer.of(home, keys, "dr.vega")
    path.chmod(0o600)
    path.write_text("0" * 64)
    with pytest.raises(UserError, match="holds another key than the one on record"):
        Signer.of(home, keys, "dr.vega")
    path.unlink()
    with pytest.raises(UserError, match="is not there"):
        Signer.of(home, keys, "dr.vega")


@pytest.mark.parametrize("name", ["", "Dr Vega", "../kek", ".kek", "a" * 41, "a/b"])
def test_a_name_is_a_plain_file_name(home: Home, name: str) -> None:
    with pytest.raises(UserError, match="reviewer="):
        enrol(home, Keys(home), name)


def test_a_name_is_given_once_and_keys_may_lie_elsewhere(home: Home, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PE_RAY_REVIEWER_KEYS", str(tmp_path / "mine"))
    keys = Keys(home)
    enrol(home, keys, "moss")
    assert (tmp_path / "mine" / "moss").is_file() and not (home.keys / "reviewers").exists()
    with pytest.raises(UserError, match="has a key on record already"):
        enrol(home, keys, "moss")
    with pytest.raises(UserError, match="make one with: pe-ray corpus review key vega"):
        Signer.of(home, keys, "vega")
    with open_database(home.database("ops"), MIGRATIONS).begin() as connection:
        assert list(registered(connection, keys)) == ["moss"]

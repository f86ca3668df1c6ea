"""The chain names the first row that was edited, removed, swapped or inserted, and what was cut off its end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, delete, insert, select, update

from pe_ray.security.audit import AUDIT, HEAD, Anchor, AuditEvent, append, create_tables, subject_ref, verify
from pe_ray.store.db import open_database

NUM_ROWS = 60


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path}/a.db", [create_tables])
    with engine.begin() as c:
        for i in range(0, NUM_ROWS, 3):
            append(c, [AuditEvent("local", "dev", "journal.append", "entry", f"e{i + k}") for k in range(3)])
    return engine


def edit(c: Connection, seq: int) -> int:
    c.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(actor="somebody"))
    return seq


def edit_hash(c: Connection, seq: int) -> int:
    c.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(hash=b"x" * 32))
    return seq


def remove(c: Connection, seq: int) -> int:
    c.execute(delete(AUDIT).where(AUDIT.c.seq == seq))
    return seq


def swap(c: Connection, seq: int) -> int:
    for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
        c.execute(update(AUDIT).where(AUDIT.c.seq == old).values(seq=new))
    return seq


def swap_content(c: Connection, seq: int) -> int:
    refs = [c.execute(select(AUDIT.c.object_ref).where(AUDIT.c.seq == s)).scalar_one() for s in (seq, seq + 1)]
    for s, ref in zip((seq, seq + 1), reversed(refs), strict=True):
        c.execute(update(AUDIT).where(AUDIT.c.seq == s).values(object_ref=ref))
    return seq


def put_in(c: Connection, seq: int) -> int:
    for s in range(NUM_ROWS, seq - 1, -1):
        c.execute(update(AUDIT).where(AUDIT.c.seq == s).values(seq=s + 1))
    row = dict(c.execute(select(AUDIT).where(AUDIT.c.seq == seq + 1)).mappings().one())
    c.execute(insert(AUDIT).values({**row, "seq": seq, "object_ref": "planted"}))
    return seq


def cut(c: Connection, seq: int) -> int:
    c.execute(delete(AUDIT).where(AUDIT.c.seq >= seq))
    return seq


def test_an_untouched_chain_is_whole(engine: Engine) -> None:
    with engine.begin() as c:
        found = verify(c)
    assert (found.rows, found.first_bad_seq) == (NUM_ROWS, None)
    assert found.head.seq == NUM_ROWS


@pytest.mark.parametrize("attack", [edit, edit_hash, remove, swap, swap_content, put_in, cut])
def test_an_attack_is_found_at_its_row(engine: Engine, attack) -> None:
    rng = random.Random(3)
    for _ in range(15):
        with engine.connect() as c, c.begin() as transaction:
            expected = attack(c, rng.randint(1, NUM_ROWS - 1))
            assert verify(c).first_bad_seq == expected
            transaction.rollback()


def test_what_the_head_cannot_find_an_anchor_does(engine: Engine) -> None:
    with engine.begin() as c:
        anchor = verify(c).head
    with engine.connect() as c, c.begin() as transaction:
        cut(c, 50)
        last = c.execute(select(AUDIT).where(AUDIT.c.seq == 49)).one()
        c.execute(update(HEAD).values(seq=49, hash=last.hash))
        assert verify(c).first_bad_seq is None  # the honest limit of a chain alone
        assert verify(c, anchor=anchor).first_bad_seq == 50
        transaction.rollback()
    with engine.begin() as c:
        assert verify(c, anchor=anchor).first_bad_seq is None
        assert verify(c, anchor=Anchor(anchor.seq, b"x" * 32)).first_bad_seq == NUM_ROWS


def test_a_row_and_its_change_stand_or_fall_together(engine: Engine) -> None:
    with pytest.raises(RuntimeError), engine.begin() as c:
        append(c, [AuditEvent("local", "dev", "journal.append", "entry", "lost")])
        raise RuntimeError
    with engine.begin() as c:
        assert verify(c).rows == NUM_ROWS


def test_a_subject_is_named_by_its_own_key() -> None:
    assert subject_ref(b"k", "ada") == subject_ref(b"k", "ada")
    assert len({subject_ref(b"k", "ada"), subject_ref(b"k", "bob"), subject_ref(b"j", "ada")}) == 3
    assert "ada" not in subject_ref(b"k", "ada")

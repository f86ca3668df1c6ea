from __future__ import annotations

import io

import pytest

from pe_ray.corpus.knowledge.entry import Problem
from pe_ray.corpus.knowledge.xml import DEEPEST, children, line_of, local, tree

KEEP = frozenset({"a"})


def test_lines_are_known() -> None:
    found = tree(io.BytesIO(b"<a>\n<b/>\n\n<c>\n</c></a>"), KEEP)
    assert found.root is not None
    assert [(local(e), line_of(e)) for e in found.root.iter()] == [("a", 1), ("b", 2), ("c", 4)]
    assert found.damage is None


def test_what_the_damage_cut_is_left_out_and_what_stands_before_is_kept() -> None:
    found = tree(io.BytesIO(b"<a><b>whole</b>\n<b>cut <c>in half</c> he"), KEEP)
    assert found.root is not None
    assert ["".join(e.itertext()) for e in found.root] == ["whole"]
    assert found.damage is not None
    assert (found.damage.line, found.damage.field) == (2, "xml")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no element found"),
        (b"no xml", "syntax error"),
        (b"<a>\0</a>", "invalid token"),
        (b"<a>\xff\xfe</a>", "invalid token"),
        (b"<a>&nbsp;</a>", "undefined entity"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "declares entities"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "declares entities"),
        (b"<a>" * (DEEPEST + 5), "nests more than"),
    ],
)
def test_damage_is_named(data: bytes, says: str) -> None:
    damage = tree(io.BytesIO(data), KEEP).damage
    assert damage is not None
    assert says in damage.reason
    assert [d.reason for d in children(io.BytesIO(data)) if isinstance(d, Problem)] == [damage.reason]


def test_children_come_one_at_a_time_and_only_whole_ones() -> None:
    body = "".join(f"<b n='{n}'>{'word ' * 2000}</b>\n" for n in range(40))
    found = list(children(io.BytesIO(f"<a>{body}<b n='cut'>half".encode())))
    whole = [item[1].get("n") for item in found if not isinstance(item, Problem)]
    assert whole == [str(n) for n in range(40)]
    assert isinstance(found[-1], Problem)
    assert found[-1].line == 41


def test_an_encoding_that_is_declared_is_read() -> None:
    data = '<?xml version="1.0" encoding="iso-8859-1"?><a>caf\u00e9</a>'.encode("latin-1")
    root = tree(io.BytesIO(data), KEEP).root
    assert root is not None
    assert root.text == "caf\u00e9"

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pe_ray.safety
from pe_ray.safety.empathy import KINDS, counts, find


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("That sounds really exhausting.", "reflection"),
        ("It sounds as though you never get a break.", "reflection"),
        ("I hear how much you miss her.", "reflection"),
        ("You're feeling torn about the move.", "reflection"),
        ("Can you tell me more about that evening?", "exploration"),
        ("What was that like for you?", "exploration"),
        ("How long has this been going on?", "exploration"),
        ("What happened after he left?", "exploration"),
        ("I wonder whether saying no feels dangerous.", "interpretation"),
        ("It might be that the anger protects you.", "interpretation"),
        ("I notice a pattern here.", "interpretation"),
    ],
)
def test_a_form_is_found_where_it_stands(sentence: str, kind: str) -> None:
    text = f"Good morning. {sentence} Take care."
    hits = [m for m in find(text) if m.kind == kind]
    assert [text[m.start : m.end] for m in hits] == [sentence]


@pytest.mark.parametrize(
    "text",
    [
        "Take two tablets a day.",
        "You should just get over it.",
        "The office is open from nine to five.",
        "I heard the weather will be fine.",
        "",
        "😀",
        "\x00",
        "x = [1, 2]; print(x)",
        "ß" * 3000,
        "no stop " * 100_000,
    ],
)
def test_other_sentences_have_none(text: str) -> None:
    assert find(text) == []


def test_a_sentence_counts_once_for_each_kind() -> None:
    text = "That sounds hard, that sounds painful. What happened? What did you need? I wonder if it was too much."
    assert counts(text) == {"reflection": 1, "exploration": 2, "interpretation": 1}
    assert tuple(counts("")) == KINDS


def test_triage_reads_neither_empathy_nor_emotion() -> None:
    room = Path(pe_ray.safety.__file__).parent
    seen, todo = set(), ["triage"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        file = room / f"{name.replace('.', '/')}.py"
        if not file.is_file():
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", None) or ""
            names = [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            for full in (module, *(f"{module}.{n}" for n in names), *names):
                if full.startswith("pe_ray.safety."):
                    todo.append(full.removeprefix("pe_ray.safety."))
    assert "rules" in seen
    assert not seen & {"emotion", "empathy"}

import random
from re import _constants as sre
from re import _parser as sre_parser

import pytest

from pe_ray.safety.gate import Gate, Sieve, required
from pe_ray.safety.normalise import fold, normalise
from pe_ray.safety.rules import TRIAGE_FILES, any_of, load, words
from tests.safety.phrases import DISGUISED, LEVEL_2, LEVEL_3, LEVEL_4, ORDINARY

SETS = [load("bias"), load("idioms"), load("output"), load(*TRIAGE_FILES)]


def example(nodes, draw):
    """A text that these nodes match, but for what they say of their neighbours."""
    return "".join(_one(operator, argument, draw) for operator, argument in nodes)


def _one(operator, argument, draw):
    if operator is sre.LITERAL:
        return chr(argument)
    if operator is sre.SUBPATTERN:
        return example(argument[-1], draw)
    if operator is sre.BRANCH:
        return example(draw.choice(argument[1]), draw)
    if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, nodes = argument
        return "".join(example(nodes, draw) for _ in range(draw.randint(least, min(most, least + 2))))
    if operator is sre.IN:
        return draw.choice([chr(c) for kind, c in argument if kind is sre.LITERAL] or ["q", "7"])
    return "x" if operator in (sre.ANY, sre.NOT_LITERAL) else ""


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [
        ("kill my ?self", [{"^kill$"}, {"^my"}, {"self$"}]),
        ("(?:end|take) my life", [{"^end$", "^take$"}, {"^my$"}, {"^life$"}]),
        ("kill(?:ing|ed)?", [{"^kill$", "^killing$", "^killed$"}]),
        (r"suicid\w*", [{"^suicid"}]),
        ("(?:in the river|on a bridge|overboard)", [{"^river$", "^bridge$", "^overboard$"}]),
        (r"\w+ of (?:\w+|tea)", [{"^of$"}]),
        ("gr[ae]y|green", [{"^gray$", "^grey$", "^green$"}]),
        ("(?:very )?tired(?= of)(?! it)", [{"^tired$"}]),
        ("[a-z]+", []),
        ("it's", [{"^it$"}, {"^s$"}]),
    ],
)
def test_what_a_pattern_cannot_do_without(pattern, clauses):
    assert sorted(map(sorted, required(pattern))) == sorted(map(sorted, clauses))


def test_no_rule_fires_on_an_example_of_its_own_that_its_gate_stops():
    draw = random.Random(1)
    tried = 0
    for rules in SETS:
        for number, rule in enumerate(rules.rules):
            for pattern in rule.patterns:
                parsed = sre_parser.parse(pattern)
                for text in (f"so {example(parsed, draw)} {draw.choice(rule.needs)} now" for _ in range(3)):
                    if rule.regex.search(text) and any(n in text for n in rule.needs):
                        tried += 1
                        assert number in rules.gate.possible(text), (rule.id, text)
    assert tried > 700


@pytest.mark.parametrize("rules", SETS, ids=lambda r: r.rules[0].id)
def test_no_rule_fires_on_what_people_say_that_its_gate_stops(rules):
    fired = 0
    for text in [*LEVEL_4, *LEVEL_3, *LEVEL_2, *ORDINARY, *(text for text, _ in DISGUISED)]:
        folded = normalise(text).text
        slowly = [r for r in rules.rules if r.regex.search(folded) and any(n in folded for n in r.needs)]
        fired += len(slowly)
        assert {r.id for r in slowly} <= {r.id for r in rules.candidates(folded)}
        among = rules.gate.narrow(f"and so {folded} . then what ?")
        assert rules.candidates(folded, among) == rules.candidates(folded)
    assert fired or rules.rules[0].id.startswith(("bias", "output"))


def test_most_ordinary_texts_are_stopped():
    for rules in (load("bias"), load("idioms")):
        assert sum(bool(rules.gate.possible(fold(text))) for text in ORDINARY) < len(ORDINARY) / 2


def test_a_rule_without_any_clause_is_always_possible():
    gate = Gate.of([((r"\w+",), ()), (("walk",), ())])
    assert gate.possible("") == [0]
    assert gate.possible("a walk") == [0, 1]
    assert gate.possible("a talk", gate.narrow("a walk")) == [0]


def test_a_need_counts_as_much_as_a_pattern():
    gate = Gate.of([((r"\w+ing",), ("'s mind", "walk"))])
    assert gate.possible("she is talking") == []
    assert gate.possible("her mind is wandering") == [0]
    assert gate.possible("sleepwalking") == [0]


def test_a_text_of_one_endless_word_is_read_quickly():
    gate = load(*TRIAGE_FILES).gate
    assert gate.possible("a" * 20_000) == []
    assert "a" * 20_000 not in gate.masks


def test_a_sieve_lets_through_what_its_patterns_match():
    patterns = words()["conversation"]["denial"]
    sieve, exact, draw = Sieve.of(patterns), any_of(patterns), random.Random(3)
    for parsed in map(sre_parser.parse, patterns):
        for text in (f"but {example(parsed, draw)} now" for _ in range(40)):
            assert sieve.passes(text) or not exact.search(text), text
    assert not sieve.passes("we had soup and it rained all day")

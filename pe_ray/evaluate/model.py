"""`pe-ray evaluate model`: how a trained model does on the held-out records of a corpus, domain by domain.

    document = evaluate_model(Home.find(), run_id="first")
    print(text.of_model(document))

The same records are scored by the model, by its base without the adapter, and by each expert alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pe_ray.errors import UserError
from pe_ray.evaluate import document
from pe_ray.evaluate.bias import bias_task, statements
from pe_ray.evaluate.held_out import HeldOut, held_out
from pe_ray.evaluate.scoring import Scores, only_expert, score, without_adapter
from pe_ray.evaluate.statistics import dependence, share_over_all, shares
from pe_ray.evaluate.subject import Subject, corpus_dir_of, subject_of
from pe_ray.record import DOMAINS
from pe_ray.store.paths import Home
from pe_ray.train.process import steady, threads_of

MAX_TOKENS = 100_000
"""Of each domain, unless told otherwise."""
PERMUTATIONS = 200


def evaluate_model(
    home: Home,
    *,
    run_id: str | None = None,
    adapter_ref: str | None = None,
    corpus_dir: Path | None = None,
    split: str = "validation",
    max_tokens: int | None = MAX_TOKENS,
    seed: int = 7,
) -> dict[str, Any]:
    """Load the model of a run or an adapter and evaluate it; the whole document.

    Without `corpus_dir` the corpus is the one that the model learnt from. Raises UserError for input that names no
    model, corpus or split, ManifestError for what is not finished.
    """
    if max_tokens is not None and max_tokens < 1:
        raise UserError(f"--max-tokens {max_tokens}: must be 1 or more")
    load_before = document.load_average()
    with steady(threads_of(None, 1)):
        subject = subject_of(home, run_id=run_id, adapter_ref=adapter_ref)
        corpus = corpus_dir or corpus_dir_of(home, subject)
        body = evaluate(subject, corpus, split, max_tokens=max_tokens, seed=seed)
    return document.header("model", load_before) | body


def evaluate(
    subject: Subject, corpus_dir: Path, split: str, *, max_tokens: int | None = MAX_TOKENS, seed: int = 7
) -> dict[str, Any]:
    """Everything of the document but where it was made."""
    held = held_out(
        corpus_dir,
        subject.tokenizer_dir,
        split,
        chat_template=subject.chat_template,
        max_tokens=max_tokens,
        seed=seed,
    )
    model, domain_D = subject.model, held.examples.domain_X
    measure = partial(score, model, context=subject.context, pad_id=subject.tokenizer.pad_token_id)
    found, unlabelled = statements(corpus_dir, split)
    task = partial(bias_task, found, subject.tokenizer, measure, subject.context)
    own, own_task = measure(held.examples), task()
    with without_adapter(model):
        base, base_task = measure(held.examples), task()
    body = {
        "subject": subject.origin,
        "corpus": corpus_facts(held, subject),
        "context": subject.context,
        "model": losses(own, domain_D),
        "base": losses(base, domain_D),
        "alone": _alone(subject, held, measure),
        "routing": routing(own, domain_D, subject.experts, subject.origin["top_k"], seed=seed),
        "bias_detection": {"statements": len(found), "unlabelled": unlabelled, "model": own_task, "base": base_task},
    }
    return body | {"results": results(body)}


def losses(scores: Scores, domain_D: np.ndarray) -> dict[str, Any]:
    """Loss (nats per learnt token), perplexity and token accuracy: over all tokens, and by domain."""
    by_domain = {name: _mean(scores, domain_D == g) for g, name in enumerate(DOMAINS)}
    found = [m["loss"] for m in by_domain.values() if m["loss"] is not None]
    everything = _mean(scores, np.ones(len(domain_D), dtype=bool))
    return {
        "all": everything,
        "mean_of_domains": {"loss": float(np.mean(found)) if found else None},
        "by_domain": by_domain,
    }


def routing(
    scores: Scores, domain_D: np.ndarray, experts: Sequence[str], top_k: int, *, seed: int = 7
) -> dict[str, Any] | None:
    """Who answered: shares, entropy and information, each domain counting alike; None with one expert."""
    if scores.load_LDE is None or scores.entropy_D is None:
        return None
    share_GE = shares(scores.load_LDE.sum(axis=0), domain_D, len(DOMAINS))
    entropy_G = [_ratio(scores.entropy_D, scores.tokens_D, domain_D == g) for g in range(len(DOMAINS))]
    present = [e for e in entropy_G if e is not None]
    found = dependence(scores.load_LDE, domain_D, len(DOMAINS), permutations=PERMUTATIONS, seed=seed)
    return {
        "top_k": top_k,
        "share": _named(experts, share_over_all(share_GE)),
        "share_by_domain": {d: _named(experts, row) for d, row in zip(DOMAINS, share_GE, strict=True)},
        "entropy": {
            "all": float(np.mean(present)) if present else None,
            "by_domain": dict(zip(DOMAINS, entropy_G, strict=True)),
            "largest": math.log(len(experts)),
        },
        "mutual_information": asdict(found) if found else None,
    }


def corpus_facts(held: HeldOut, subject: Subject) -> dict[str, Any]:
    """Which records were read, and whether they are of the corpus that the model learnt from."""
    same = None if subject.trained_on is None else subject.trained_on == held.fingerprint
    return {
        "name": held.name,
        "fingerprint": held.fingerprint,
        "split": held.split,
        "trained_on": subject.trained_on,
        "same": same,
        "left_out": held.left_out,
    }


def results(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures as a flat list, with names that stay the same from run to run."""
    rows = []
    for who in ("model", "base"):
        absent = "the split has no learnt token of it"
        rows += [document.row(f"{who}.loss", body[who]["all"]["loss"], "nats per token", "lower", absent)]
        rows += [document.row(f"{who}.accuracy", body[who]["all"]["accuracy"], "share of tokens", "higher", absent)]
        for domain, mean in body[who]["by_domain"].items():
            rows.append(document.row(f"{who}.loss.{domain}", mean["loss"], "nats per token", "lower", absent))
    routed = body["routing"] or {}
    information, none = routed.get("mutual_information") or {}, "one expert, or one domain: there is nothing to route"
    for name, unit, better in (("nats", "nats", "higher"), ("p99", "nats", "lower"), ("p_value", "", "lower")):
        rows.append(document.row(f"mutual_information.{name}", information.get(name), unit, better, none))
    listed = [v for v in routed.get("share", {}).values() if v is not None]
    rows.append(document.row("expert_share.smallest", min(listed, default=None), "share of slots", "higher", none))
    rows.append(document.row("expert_share.largest", max(listed, default=None), "share of slots", "lower", none))
    for who in ("model", "base"):
        for task, found in body["bias_detection"][who].items():
            name, unlabelled = f"bias_detection.{task}.{who}", "the split has no labelled statement"
            rows.append(document.row(name, found["value"], f"share of {found['trials']}", "higher", unlabelled))
    return rows


def _alone(subject: Subject, held: HeldOut, measure: partial[Scores]) -> dict[str, Any]:
    """The losses of every expert by itself; none where there is only one."""
    found: dict[str, Any] = {}
    for e, name in enumerate(subject.experts if len(subject.experts) > 1 else ()):
        with only_expert(subject.model, e):
            found[name] = losses(measure(held.examples), held.examples.domain_X)
    return found


def _mean(scores: Scores, chosen_D: np.ndarray) -> dict[str, Any]:
    loss = _ratio(scores.loss_D, scores.learnt_D, chosen_D)
    return {
        "documents": int((chosen_D & (scores.learnt_D > 0)).sum()),
        "tokens": int(scores.tokens_D[chosen_D].sum()),
        "learnt_tokens": int(scores.learnt_D[chosen_D].sum()),
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)) if loss is not None else None,
        "accuracy": _ratio(scores.correct_D, scores.learnt_D, chosen_D),
    }


def _ratio(above_D: np.ndarray, below_D: np.ndarray, chosen_D: np.ndarray) -> float | None:
    below = below_D[chosen_D].sum()
    found = float(above_D[chosen_D].sum() / below) if below else None
    return found if found is None or math.isfinite(found) else None


def _named(experts: Sequence[str], share_E: np.ndarray) -> dict[str, float | None]:
    return {name: None if math.isnan(v) else v for name, v in zip(experts, share_E.tolist(), strict=True)}

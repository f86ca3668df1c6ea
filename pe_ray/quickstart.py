"""The whole life of a model on one machine: `live` reads from top to bottom, and its helpers are what the commands
`corpus build`, `tune`, `train` and `export` run by themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pe_ray import report
from pe_ray.cluster import connected
from pe_ray.config import Config, load
from pe_ray.errors import PeRayError, TrainingDiverged, UserError
from pe_ray.run import Run
from pe_ray.store.paths import Home

RUN_FILE = Path(__file__).parent.parent / "jobs" / "configs" / "quickstart.yaml"
Say = Callable[[str], None]


def live(run: Run, *, stay: bool, say: Say) -> Path:
    """Sources -> corpus -> base -> profile -> experts -> export -> served replies -> journal; the path of the summary.

    With `stay`, the model stays served until Ctrl-C.
    """
    config, home = run.config, run.home
    check_early(config)
    with connected(home):
        say("corpus: reading, cleaning, checking, balancing the sources on Ray Data")
        ground = prepare(run, say)
        say("tune: measuring the profiles on Ray Tune")
        profile = pick_profile(run, ground)
        say(f"train: four experts and a router, profile {profile}, {config.train.workers or 'no'} Ray Train workers")
        trained = fit_experts(run, ground, profile, say)
    say("export: adapter, and a stock mixture-of-experts checkpoint that computes the same")
    exported = write_models(run, trained.checkpoint, ground)
    say("serve: gateway, engine and journal on Ray Serve")
    served = config.serve.model_copy(update={"model": exported["merged"] or exported["adapter"]})
    with serving(config.model_copy(update={"serve": served}), home, run, say) as url:
        say("talk: replies, the cache, a message in crisis, the journal and its report")
        talk(run, url)
        summary = run.finish(report.write(run))
        say(f"report: {run.directory / 'report.html'}")
        if stay:
            stay_up(url, say)
    return summary


# --- the stages, each also a command ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """What training stands on."""

    corpus: Path
    base: Path
    examples: Path


def prepare(run: Run, say: Say) -> Ground:
    """Corpus, base and tokenised examples; each is taken from the shelf when it was made from the same inputs."""
    from pe_ray.corpus.tokenise import tokenise
    from pe_ray.train.base import ensure_base

    corpus = build_corpus(run, say)
    say(f"base: {run.config.base.name}")
    base = ensure_base(run.config, corpus, run.home)
    run.stages["base"] = base.stage
    examples = tokenise(corpus, base.path, run.config.base.chat_template)
    return Ground(corpus, base.path, examples)


def check_early(config: Config) -> None:
    """What would stop the run later is told before Ray is started and the corpus is built."""
    if config.train.track:
        from pe_ray.train.track import check

        check(config.train.track)
    if config.train.copy_to:
        from pe_ray.train.remote import Remote

        Remote.at(config.train.copy_to, "any")
    if config.base.name != "tiny":
        from pe_ray.train.base import check_foreign

        check_foreign(config)


def build_corpus(run: Run, say: Say) -> Path:
    """Build the corpus on the configured engine."""
    if run.config.corpus.engine == "ray":
        from pe_ray.corpus.job import build
    else:
        from pe_ray.corpus.pipeline import build
    result = build(run.config, run.home, say)
    run.stages["corpus"] = result.stage
    tell_shortage(result.stage, say)
    return result.path


def tell_shortage(stage: Mapping[str, Any], say: Say) -> None:
    """A line for each source that could not fill its share."""
    for source, account in stage["per_source"].items():
        if account["short"]:
            share, target = account["share"], account["target"]
            say(f"corpus: {source} is short: {account['kept']} records, {share:.1%} instead of {target:.0%}")


def pick_profile(run: Run, ground: Ground) -> str:
    """Measure the profiles with Ray Tune and choose; a profile that the configuration names is kept all the same."""
    from pe_ray.tune.job import tune

    found = tune(run.config, ground.examples, ground.base, run.home, run.id)
    if run.config.train.profile != "auto":
        found = {**found, "chosen": run.config.train.profile, "why": "train.profile names it"}
    run.stages["tune"] = found
    return str(found["chosen"])


def search_settings(run: Run, ground: Ground, profile: str, say: Say) -> None:
    """Try rank, learning rate and balance in short runs of the chosen profile; a person decides what to take."""
    from pe_ray.tune.job import search

    config = run.config.model_copy(update={"train": run.config.train.model_copy(update={"profile": profile})})
    tuned = config.tune
    say(f"tune: {tuned.search} short runs over rank, learning rate and balance")
    found = search(
        config, ground.examples, ground.base, run.home, run.id, trials=tuned.search, steps=tuned.search_steps
    )
    say(f"tune: {found['why']}")
    run.stages["tune"]["search"] = found


def fit_experts(run: Run, ground: Ground, profile: str, say: Say) -> Any:
    """Train in this process or on Ray Train workers, by `train.workers`."""
    if run.config.train.workers:
        from pe_ray.train.job import train
    else:
        from pe_ray.train.run import train
    from pe_ray.train.track import tracking

    told = tell_steps(say)
    with tracking(run.config.train.track, run.home, run.id, run.config) as mirror:

        def on_step(step: Mapping[str, Any]) -> None:
            told(step)
            mirror(step)

        options = {"profile_name": profile, "fitted": _fitted(run, profile), "on_step": on_step}
        result = train(run.config, ground.examples, ground.base, run.home, run.id, **options)
    run.stages["train"] = result.stage
    return result


def _fitted(run: Run, profile: str) -> tuple[int, int] | None:
    """Micro-batch and accumulation of the profile as tune measured them; None where it did not, or the run says."""
    trials = run.stages.get("tune", {}).get("trials", ())
    found = next((t for t in trials if t["profile"] == profile and t["fits"]), None)
    given = run.config.train.micro_batch or run.config.train.accumulation
    if given or found is None or found.get("micro_batch") is None:
        return None
    return found["micro_batch"], found["accumulation"]


def tell_steps(say: Say, every_s: float = 5.0) -> Callable[[Mapping[str, Any]], None]:
    """A line about the training every few seconds, and one whenever it goes on from an earlier step."""
    last, newest = 0.0, 0

    def tell(step: Mapping[str, Any]) -> None:
        nonlocal last, newest
        if step["step"] <= newest:
            back = step["step"] - 1
            say(f"    after step {newest} a worker was lost; all are started again and go on from step {back}")
        newest = step["step"]
        if time.monotonic() - last < every_s:
            return
        last = time.monotonic()
        loss = "skipped" if step.get("skipped") else f"loss {step['terms']['lm']:.3f}"
        say(f"    step {step['step']} of {step['horizon_steps']}, {loss}, {step['elapsed_s']:.0f} s")

    return tell


def write_models(run: Run, checkpoint: Path, ground: Ground) -> dict[str, Any]:
    """Export the checkpoint: adapter, merged model, probe."""
    from pe_ray.train.run import export

    stage = export(run.config, checkpoint, ground.base, run.home)
    run.stages["export"] = stage
    return stage


# --- the jobs behind the commands ------------------------------------------------------------------------------------


def corpus_job(run: Run, say: Say) -> Path:
    """`pe-ray corpus build`."""
    if run.config.corpus.engine == "ray":
        with connected(run.home):
            path = build_corpus(run, say)
    else:
        path = build_corpus(run, say)
    return run.finish(path / "report.html")


def tune_job(run: Run, say: Say) -> Path:
    """`pe-ray tune`."""
    check_early(run.config)
    with connected(run.home):
        ground = prepare(run, say)
        profile = pick_profile(run, ground)
        if run.config.tune.search:
            search_settings(run, ground, profile, say)
    return run.finish(report.write(run))


def train_job(run: Run, say: Say) -> Path:
    """`pe-ray train`."""
    check_early(run.config)
    needs_ray = run.config.train.workers > 0 or run.config.corpus.engine == "ray"
    if needs_ray:
        with connected(run.home):
            _train(run, say)
    else:
        _train(run, say)
    summary = run.finish(run.directory / "report.html")
    if run.stages["train"]["stop_reason"] == "nan":
        raise TrainingDiverged(
            f"run_id={run.id}: the loss stayed not finite; the last finite checkpoint is kept; {summary}"
        )
    return summary


def _train(run: Run, say: Say) -> None:
    ground = prepare(run, say)
    fit_experts(run, ground, run.config.train.profile, say)


def estimate_job(config: Config, say: Say, **options: Any) -> Any:
    """`pe-ray train estimate`: corpus, base and examples are made if they are not on the shelf."""
    from pe_ray.train.estimate import estimate

    check_early(config)
    with Run("estimate", config, Home.find()) as run:
        if config.corpus.engine == "ray":
            with connected(run.home):
                ground = prepare(run, say)
        else:
            ground = prepare(run, say)
        return estimate(config, ground.examples, ground.base, **options)


def export_job(run: Run, run_id: str) -> Path:
    """`pe-ray export`."""
    from pe_ray.train.checkpoint import best

    checkpoint, base = best(run.home.run(run_id))
    run.stages["export"] = write_models(run, checkpoint, Ground(Path(), base, Path()))
    return run.finish(report.write(run))


def config_of_run(run_id: str, overrides: Sequence[str]) -> Config:
    """The configuration that a training run was started with. Raises UserError if there is no such run."""
    path = Home.find().run(run_id) / "config.yaml"
    if not path.is_file():
        known = sorted(p.parent.name for p in path.parent.parent.glob("*/steps.jsonl"))
        raise UserError(f"--run-id {run_id}: no such training run; known: {', '.join(known) or 'none'}")
    return load(path, [*overrides, "run_id=null"])


# --- serving and talking ---------------------------------------------------------------------------------------------

QUESTIONS = (
    "I lie awake every night before work and my thoughts keep going round. What can I do?",
    "My mother died in spring and I still cannot go into her room. Is something wrong with me?",
    "What is cognitive defusion, and when would a therapist use it?",
    "My colleague says people my age cannot learn new software. How should I answer?",
    "My partner and I fight about money every weekend. How do we stop?",
)
CRISIS = "I don't want to be here any more. I have decided to end my life tonight."
CLIENT = "quickstart-client"


@contextmanager
def serving(config: Config, home: Home, run: Run, say: Say) -> Iterator[str]:
    """The served model while the block runs; its URL."""
    from pe_ray.serve import up

    url = up.up(config, home, say=say)
    try:
        run.meter.watch(up.status(home)["pid"])
        yield url
    finally:
        up.down(home)


def talk(run: Run, url: str) -> None:
    """Ask, ask again, say something alarming, and read the journal back: the serve and progress stages."""
    with httpx.Client(base_url=url, timeout=120) as http:
        fresh = [ask(http, user_input=q) for q in QUESTIONS]
        cached = [ask(http, user_input=q) for q in QUESTIONS]
        tracked = ask(http, user_input=QUESTIONS[0], client_id=CLIENT, track_progress=True)
        ask(http, user_input=CRISIS, client_id=CLIENT)
        entries = wait_for_entries(http, CLIENT, 2)
        rate_weeks(http, CLIENT)
        page = http.get(f"/progress/api/v1/clients/{CLIENT}/report", params={"format": "html"}).raise_for_status()
    path = run.directory / "progress.html"
    path.write_bytes(page.content)
    hits = [r["ms"] for r in cached if r["cache_hit"]]
    misses = sorted(r["ms"] for r in fresh)
    run.stages["serve"] = {
        "url": url,
        "requests": len(fresh) + len(cached) + 2,
        "p50_ms": _quantile(misses, 0.5),
        "p95_ms": _quantile(misses, 0.95),
        "cache_hits": len(hits),
        "cache_hit_p50_ms": _quantile(sorted(hits), 0.5),
        "entry_response_id": next(e["response_id"] for e in entries if e["response_id"] == tracked["response_id"]),
    }
    run.stages["progress"] = {"entries": len(entries), "report": str(path)}


def ask(http: httpx.Client, **request: Any) -> dict[str, Any]:
    """One inference; the reply with the milliseconds that the caller waited."""
    started = time.perf_counter()
    reply = http.post("/api/v1/inference", json=request).raise_for_status().json()
    return {**reply, "ms": (time.perf_counter() - started) * 1000}


def wait_for_entries(http: httpx.Client, client: str, count: int, timeout_s: float = 30) -> list[dict[str, Any]]:
    """The client's journal once it has `count` entries: they travel through the outbox."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = http.get(f"/progress/api/v1/clients/{client}/journal")
        items = found.json()["items"] if found.status_code == 200 else []
        if len(items) >= count:
            return items
        if time.monotonic() > deadline:
            raise PeRayError(f"the journal has {len(items)} of {count} entries after {timeout_s:g} s; see serve's log")
        time.sleep(0.2)


def rate_weeks(http: httpx.Client, client: str) -> None:
    """Eight weekly PHQ-9 answers of an invented client, so that the report has a trend to show."""
    start = datetime.now(UTC) - timedelta(weeks=8)
    for week, total in enumerate((17, 16, 16, 13, 12, 10, 9, 7)):
        answers = [total // 9 + (i < total % 9) for i in range(9)]
        answers[8], answers[0] = 0, answers[0] + answers[8]  # the ninth item asks about self-harm
        at = (start + timedelta(weeks=week)).isoformat(timespec="seconds")
        body = {"instrument": "phq9", "items": answers, "administered_at": at}
        http.post(f"/progress/api/v1/clients/{client}/assessments", json=body).raise_for_status()


def stay_up(url: str, say: Say) -> None:
    """Keep the model served until Ctrl-C."""
    say(f"serving at {url} until Ctrl-C; try:")
    body = json.dumps({"user_input": "I sleep badly."})
    say(f"  curl -s {url}/api/v1/inference -H 'content-type: application/json' -d '{body}'")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 2) if ordered else None

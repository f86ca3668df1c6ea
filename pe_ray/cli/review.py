"""`pe-ray corpus review`: what waits for a clinician, and what they decided about it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_ray.cli.door import AsJson, DryRun, say

if TYPE_CHECKING:
    from pe_ray.corpus.queue import Item
    from pe_ray.security.decisions import Verb
    from pe_ray.store.paths import Home

review_app = typer.Typer(help="Clinical review of held records.", no_args_is_help=True)
RecordId = Annotated[str, typer.Argument(help="A held record's id, or its beginning (6 digits or more).")]
RecordIds = Annotated[list[str], typer.Argument(help="Ids of held records, or their beginnings.")]
CorpusName = Annotated[str | None, typer.Option("--corpus", help="Corpus name; else all.")]
Who = Annotated[str, typer.Option("--reviewer", help="Who decides; has a key (`pe-ray corpus review key NAME`).")]
Why = Annotated[str, typer.Option("--reason", help="Why, in 10 characters or more; quote nobody.")]
States = Annotated[
    str,
    typer.Option("--state", help="open (waiting, or one of two approvals), waiting, second, approved, rejected, all."),
]
STATES = ("open", "waiting", "second", "approved", "rejected", "all")
LOCAL = "local"
"""Who looks, where no reviewer is named."""
NOTE = (
    "Content note: this record is held for {what} (level {level}). It may speak of harm, death or abuse in plain "
    "words. Read it when you are ready, stop when you want to, and do not read many in a row."
)
SHOWN_ID = 12


@review_app.command("list")
def review_list(name: CorpusName = None, state: States = "open", as_json: AsJson = False) -> None:
    """List held records, the one that waits longest first; never their words."""
    from pe_ray.corpus import queue
    from pe_ray.store.paths import Home

    home, at = Home.find(), queue.now()
    found = queue.items(home, name)
    shown = [item.told(at) for item in _in_state(found, state)]
    size = queue.Queue.of([i.age_s(at) for i in found if i.current and i.standing.state in queue.OPEN])
    if as_json:
        ages = {f"{k}_days": None if s is None else round(s / queue.DAY_S, 2) for k, s in size.ages()}
        typer.echo(json.dumps({"waiting": size.waiting, **ages, "items": shown}, indent=1, ensure_ascii=False))
        return
    for item in shown:
        where = "" if item["current"] or item["state"] not in queue.OPEN else "  (older snapshot)"
        held = ", ".join(item["held_for"])
        typer.echo(
            f"{item['record_id'][:SHOWN_ID]}  {item['corpus']:<12} {item['source']:<13} level {item['level']}  "
            f"{item['age_days']:>7.2f} days  {item['state']:<9} {held}{where}"
        )
    ages = "".join(f", {k} {s / queue.DAY_S:.2f} days" for k, s in size.ages() if s is not None)
    say(f"{size.waiting} records of the newest snapshots wait{ages}; {len(shown)} listed (--state {state})")


@review_app.command("show")
def review_show(
    record: RecordId,
    name: CorpusName = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="Who looks; else: local.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a held record with its words, for those who may read it; that it was looked at goes into the audit chain."""
    from pe_ray.corpus import queue
    from pe_ray.security import decisions
    from pe_ray.store.paths import Home

    home = Home.find()
    item = queue.find(home, record, name)
    row = queue.record(item)
    decisions.note(home, _actor(home, reviewer), "review.show", "record", item.matter.record_id)
    note = NOTE.format(what=", ".join(item.matter.held_for), level=item.matter.level)
    told = item.told(queue.now()) | {n: row[n] for n in ("uri", "offset", "domain", "licence", "attribution")}
    taken = [{"at": d.at, "verb": d.verb, "reviewer": d.reviewer, "reason": d.reason} for d in item.decisions]
    if as_json:
        body = {"content_note": note, **told, "messages": row["messages"], "decisions": taken}
        typer.echo(json.dumps(body, indent=1, ensure_ascii=False))
        return
    typer.echo(
        f"{note}\n\n{told['record_id']}  {told['source']}, {told['content_type']}, {told['uri']}:{told['offset']}"
    )
    typer.echo(f"held for {', '.join(told['held_for'])}; waits {told['age_days']:.2f} days; {told['state']}\n")
    for message in row["messages"]:
        typer.echo(f"{message['role']}: {message['text']}")
    for d in taken:
        typer.echo(f"\n{d['at']}  {d['verb']} by {d['reviewer']}: {d['reason']}")


@review_app.command("approve")
def review_approve(
    records: RecordIds,
    reviewer: Who,
    reason: Why,
    name: CorpusName = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Sign that held records may be decided on like any others; the next build does so."""
    _decide("approve", records, reviewer, reason, name, as_json, dry_run)


@review_app.command("reject")
def review_reject(
    records: RecordIds,
    reviewer: Who,
    reason: Why,
    name: CorpusName = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Sign that held records must not be in the corpus; it also ends an approval."""
    _decide("reject", records, reviewer, reason, name, as_json, dry_run)


@review_app.command("withdraw")
def review_withdraw(
    records: RecordIds,
    reviewer: Who,
    reason: Why,
    name: CorpusName = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Sign that what was decided about records no longer counts: they wait again. It stays on record."""
    _decide("withdraw", records, reviewer, reason, name, as_json, dry_run)


@review_app.command("export")
def review_export(
    name: CorpusName = None,
    state: States = "open",
    out: Annotated[Path | None, typer.Option("--out", help="File; else review/ under PE_RAY_HOME.")] = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="Who exports; else: local.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Write held records with their words as JSON lines for another tool, and print where; audited."""
    from pe_ray.corpus import queue
    from pe_ray.security import decisions
    from pe_ray.store.paths import Home

    home, at = Home.find(), queue.now()
    found = _in_state(queue.items(home, name), state)
    target = (out or home.root / "review" / f"{name or 'all'}-{at:%Y%m%d-%H%M%S}.jsonl").absolute()
    if dry_run:
        say(f"would write {len(found)} records to {target}")
        return
    data = "".join(json.dumps(queue.line(item, at), ensure_ascii=False) + "\n" for item in found).encode()
    told = f"{len(found)} records, sha256 {hashlib.sha256(data).hexdigest()}"
    decisions.note(home, _actor(home, reviewer), "review.export", "corpus", name or "all", told)
    _write_private(target, data)
    typer.echo(target)


@review_app.command("key")
def review_key(
    name: Annotated[str, typer.Argument(help="The reviewer's name: small letters, digits, dots, dashes.")],
    dry_run: DryRun = False,
) -> None:
    """Make a reviewer's signing key, put its public half on record, and print where the private half lies."""
    from pe_ray.security.keys import Keys
    from pe_ray.security.reviewers import enrol, key_path
    from pe_ray.store.paths import Home

    home = Home.find()
    if dry_run:
        say(f"would make {key_path(home, name)} and put its public half on record")
        return
    reviewer = enrol(home, Keys(home), name)
    say(f"key {reviewer.key_id} of {name} is on record")
    typer.echo(key_path(home, name))


def _decide(
    verb: Verb, records: list[str], reviewer: str, reason: str, name: str | None, as_json: bool, dry_run: bool
) -> None:
    from pe_ray.corpus import queue
    from pe_ray.security import decisions
    from pe_ray.security.keys import Keys
    from pe_ray.security.reviewers import Signer
    from pe_ray.store.corpora import open_corpus
    from pe_ray.store.paths import Home

    home = Home.find()
    decisions.check_reason(reason)
    signer = Signer.of(home, Keys(home), reviewer)
    chosen = [queue.find(home, record, name) for record in records]
    for snapshot in {item.snapshot for item in chosen}:
        open_corpus(snapshot)  # what is signed is what was shown
    for item in chosen:
        _refuse_double(item, verb, reviewer)
    if dry_run:
        say(f"would {verb} {len(chosen)} records as {reviewer}")
        return
    taken = [decisions.record(home, signer, item.matter, verb, reason) for item in chosen]
    state = {(i.matter.corpus, i.matter.record_id): i.standing.state for i in queue.items(home, name)}
    done = [
        {"decision": d.id, "record_id": d.matter.record_id, "state": state[d.matter.corpus, d.matter.record_id]}
        for d in taken
    ]
    if as_json:
        typer.echo(json.dumps({"decisions": done}, indent=1))
    for one in () if as_json else done:
        more = "; a second reviewer must approve it" if one["state"] == "second" else ""
        typer.echo(f"{one['decision']}  {one['record_id'][:SHOWN_ID]}  {one['state']}{more}")
    say("the next `pe-ray corpus build` reads it")


def _refuse_double(item: Item, verb: str, reviewer: str) -> None:
    from pe_ray.errors import UserError

    if verb == "approve" and reviewer in {d.reviewer for d in item.standing.decisions if d.verb == "approve"}:
        raise UserError(
            f"record={item.matter.record_id}: is approved by {reviewer} already; another reviewer is wanted"
        )


def _in_state(found: list[Item], state: str) -> list[Item]:
    from pe_ray.corpus.queue import OPEN
    from pe_ray.errors import UserError

    if state not in STATES:
        raise UserError(f"state={state}: one of {', '.join(STATES)} is wanted")
    wanted = {"open": OPEN, "all": STATES}.get(state, (state,))
    return [item for item in found if item.standing.state in wanted]


def _actor(home: Home, reviewer: str | None) -> str:
    """Who is put into the audit chain; a reviewer must have their key at hand."""
    from pe_ray.security.keys import Keys
    from pe_ray.security.reviewers import Signer

    return Signer.of(home, Keys(home), reviewer).reviewer.name if reviewer else LOCAL


def _write_private(target: Path, data: bytes) -> None:
    """A new file that its owner alone can read."""
    from pe_ray.errors import UserError

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"out={target}: is there already; give a new file") from None
    except OSError as error:
        raise UserError(f"out={target}: cannot be written ({error.strerror}); give another file") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)

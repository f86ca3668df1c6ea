"""One root for everything: `PE_RAY_HOME`.

    corpora/<name>/<fingerprint>/      runs/<id>/       adapters/<name>/<version>/     models/<name>/<version>/
    bases/<fingerprint>/               state/           databases, outbox, keys (PE_RAY_STATE moves it)

The door that starts a command calls `Home.find()` once and hands the result on, so that a Ray worker with another
working directory writes to the same place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pe_ray.errors import AdapterNotFound, UserError
from pe_ray.store.manifest import NAME as MANIFEST
from pe_ray.store.manifest import is_finished


@dataclass(frozen=True)
class Home:
    """The root directory, and the one for state that must be local to its writer."""

    root: Path
    state: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """The home that the environment names, made absolute; `./.pe_ray` without one.

        Raises UserError for a value that is no local path.
        """
        raw = environ.get("PE_RAY_HOME") or ".pe_ray"
        if "://" in raw:
            raise UserError(f"PE_RAY_HOME={raw}: object stores are not supported yet; give a local or mounted path")
        root = Path(raw).expanduser().absolute()
        if root.exists() and not root.is_dir():
            raise UserError(f"PE_RAY_HOME={root}: is a file; a directory is wanted")
        return cls(root, Path(environ.get("PE_RAY_STATE") or root / "state").expanduser().absolute())

    @classmethod
    def at(cls, root: str | Path) -> Home:
        """A home at a given directory, with its state inside."""
        path = Path(root).absolute()
        return cls(path, path / "state")

    @property
    def environ(self) -> dict[str, str]:
        """What a Ray job or a child process needs to find this home."""
        return {"PE_RAY_HOME": str(self.root), "PE_RAY_STATE": str(self.state)}

    def corpus(self, name: str, fingerprint: str) -> Path:
        """Directory of one corpus snapshot."""
        return self.root / "corpora" / name / fingerprint

    def run(self, run_id: str) -> Path:
        """Directory of one run: config.yaml, steps.jsonl, checkpoints/, report.html, summary.json."""
        return self.root / "runs" / run_id

    def base(self, fingerprint: str) -> Path:
        """Directory of a base trained here."""
        return self.root / "bases" / fingerprint

    def adapter(self, name: str, version: int) -> Path:
        """Directory of one exported adapter."""
        return self.root / "adapters" / name / str(version)

    def model(self, name: str, version: int) -> Path:
        """Directory of one merged model."""
        return self.root / "models" / name / str(version)

    @property
    def keys(self) -> Path:
        """Directory of the key-encryption key (0700)."""
        return self.state / "keys"

    @property
    def outbox(self) -> Path:
        """Directory of the outbox files, one per gateway process."""
        return self.state / "outbox"

    def database(self, name: str) -> str:
        """SQLAlchemy URL of `ops`, `journal` or `keys`: `PE_RAY_<NAME>_URL` if set, else SQLite under state/."""
        if name not in ("ops", "journal", "keys"):
            raise ValueError(f"database {name!r} is not one of ops, journal, keys")
        return os.environ.get(f"PE_RAY_{name.upper()}_URL") or f"sqlite:///{self.state / (name + '.db')}"

    def versions(self, kind: str, name: str) -> list[int]:
        """Finished versions under `adapters` or `models`, oldest first."""
        folder = self.root / kind / name
        found = (
            [int(p.name) for p in folder.iterdir() if p.name.isdigit() and is_finished(p)] if folder.is_dir() else []
        )
        return sorted(found)

    def names(self, kind: str) -> list[str]:
        """Names that have at least one finished version under `adapters` or `models`."""
        folder = self.root / kind
        return (
            sorted(p.name for p in folder.iterdir() if p.is_dir() and self.versions(kind, p.name))
            if folder.is_dir()
            else []
        )

    def next_version(self, name: str) -> int:
        """A number that neither an adapter nor a model of that name has used, finished or not."""
        used = [
            int(p.name)
            for kind in ("adapters", "models")
            for p in (self.root / kind / name).glob("*")
            if p.name.isdigit()
        ]
        return max(used, default=0) + 1

    def resolve_model(self, ref: str, form: str) -> Path:
        """Directory that `latest`, `name`, `name@version` or a path stands for.

        `form` (merged or adapter) is taken where both exist, else the other. Raises AdapterNotFound, naming what there
        is.
        """
        if re.search(r"[/\\]", ref) or ref.startswith("."):
            path = Path(ref).expanduser().absolute()
            if path.is_dir():
                return path
            raise AdapterNotFound(f"no model directory at {path}")
        kinds = ("models", "adapters") if form == "merged" else ("adapters", "models")
        for kind in kinds:
            if found := self._find(kind, ref):
                return found
        have = dict.fromkeys(f"{n}@{v}" for kind in kinds for n in self.names(kind) for v in self.versions(kind, n))
        listed = ", ".join(have) or "none yet (pe-ray train, then pe-ray export)"
        raise AdapterNotFound(f"no model {ref!r}; available: {listed}")

    def _find(self, kind: str, ref: str) -> Path | None:
        name, _, version = ref.partition("@")
        have = [self.root / kind / n / str(v) for n in self.names(kind) for v in self.versions(kind, n)]
        if ref == "latest":
            return max(have, key=lambda p: (p / MANIFEST).stat().st_mtime, default=None)
        fitting = [p for p in have if p.parent.name == name and version in ("", p.name)]
        return max(fitting, key=lambda p: int(p.name), default=None)

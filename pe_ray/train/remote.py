"""A second place for checkpoints: an object store that outlives the machine (`train.copy_to: s3://bucket/prefix`).

After a checkpoint stands on the local disk it is copied, its manifest last; a run that starts where there is none
fetches the newest whole one, and the step log. What training waits for is the local copy alone. Any file system that
pyarrow knows will do: s3, gs, hdfs, a mounted path (`file:///...`). Credentials and the endpoint come from the
environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL).
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from pyarrow import fs

from pe_ray.errors import ManifestError, UserError
from pe_ray.store import manifest
from pe_ray.train import steplog

TRIES = 3


@dataclass(frozen=True)
class Remote:
    """The checkpoints of one run elsewhere."""

    files: fs.FileSystem
    root: str

    @classmethod
    def at(cls, uri: str, run_id: str) -> Remote:
        """The place of a run under `uri`. Raises UserError for what pyarrow does not know."""
        try:
            files, path = fs.FileSystem.from_uri(_with_endpoint(uri))
        except (ValueError, OSError, NotImplementedError) as error:
            raise UserError(f"train.copy_to={uri}: {str(error).splitlines()[0][:200]}") from None
        return cls(files, f"{path.rstrip('/')}/runs/{run_id}")

    def push(self, checkpoint: Path, log: Path, keep: set[str]) -> None:
        """Copy a finished checkpoint, and forget those that are not kept. A store that fails is told, not raised."""
        for attempt in range(1, TRIES + 1):
            try:
                self._push(checkpoint, log)
                self._prune(keep | {checkpoint.name})
                return
            except OSError as error:
                if attempt == TRIES:
                    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                    print(f"checkpoint {checkpoint.name} is not copied: {reason}", file=sys.stderr, flush=True)

    def _push(self, checkpoint: Path, log: Path) -> None:
        target = f"{self.root}/checkpoints/{checkpoint.name}"
        self.files.create_dir(target, recursive=True)
        for file in sorted(checkpoint.iterdir(), key=lambda f: f.name == manifest.NAME):
            self._upload(file, f"{target}/{file.name}")
        if log.is_file():
            self._upload(log, f"{self.root}/{log.name}")

    def _upload(self, file: Path, target: str) -> None:
        with file.open("rb") as source, self.files.open_output_stream(target) as sink:
            shutil.copyfileobj(source, sink, 8 << 20)

    def fetch(self, run_dir: Path) -> Path | None:
        """Bring the newest whole checkpoint, and the step log, where a run has none; None if there is nothing."""
        for name in reversed(self.names()):
            target = run_dir / "checkpoints" / name
            try:
                found = self._fetch(name, target)
            except (OSError, ManifestError):
                shutil.rmtree(target, ignore_errors=True)
                continue
            self._fetch_log(run_dir)
            return found
        return None

    def _fetch(self, name: str, target: Path) -> Path:
        """The manifest last here as well, so that a fetch that was killed leaves nothing that looks finished."""
        origin = f"{self.root}/checkpoints/{name}"
        files = [i.base_name for i in self.files.get_file_info(fs.FileSelector(origin)) if i.is_file]
        if manifest.NAME not in files:
            raise ManifestError(f"{origin}: was never finished")
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(files, key=lambda f: f == manifest.NAME):
            self._download(f"{origin}/{file}", target / file)
        manifest.read(target, verify=True)
        return target

    def _fetch_log(self, run_dir: Path) -> None:
        log = run_dir / steplog.NAME
        if not log.exists() and self.files.get_file_info(f"{self.root}/{steplog.NAME}").is_file:
            self._download(f"{self.root}/{steplog.NAME}", log)

    def _download(self, origin: str, file: Path) -> None:
        with self.files.open_input_stream(origin) as source, file.open("wb") as sink:
            shutil.copyfileobj(source, sink, 8 << 20)

    def names(self) -> list[str]:
        """Of checkpoints that are there, oldest first, whole or not."""
        selector = fs.FileSelector(f"{self.root}/checkpoints", allow_not_found=True)
        found = [i.base_name for i in self.files.get_file_info(selector) if i.base_name.startswith("step_")]
        return sorted(found, key=lambda name: int(name.removeprefix("step_")))

    def _prune(self, keep: set[str]) -> None:
        for name in set(self.names()) - keep:
            self.files.delete_file(f"{self.root}/checkpoints/{name}/{manifest.NAME}")
            self.files.delete_dir(f"{self.root}/checkpoints/{name}")


def _with_endpoint(uri: str) -> str:
    """pyarrow reads credentials from the environment, and the endpoint from the URI alone."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not (uri.startswith("s3://") and endpoint) or "endpoint_override" in uri:
        return uri
    parts = urlsplit(endpoint)
    mark = "&" if "?" in uri else "?"
    return f"{uri}{mark}scheme={parts.scheme}&endpoint_override={quote(parts.netloc)}&allow_bucket_creation=false"

"""Safetensors in pieces, so that a checkpoint larger than memory can be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from pe_ray.store.manifest import write_json


@dataclass
class Shards:
    """Safetensors files of at most `limit` bytes (one tensor more, at worst), then the index that names them."""

    out: Path
    limit: int
    parameters: int = 0
    total_bytes: int = 0
    pending: dict[str, Tensor] = field(default_factory=dict)
    written: list[list[str]] = field(default_factory=list)

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a tensor; writes a shard when enough has come together."""
        self.pending[name] = tensor.cpu().contiguous()
        self.parameters += tensor.numel()
        self.total_bytes += tensor.nbytes
        if sum(t.nbytes for t in self.pending.values()) >= self.limit:
            self._flush()

    def close(self) -> None:
        """Write the rest; name the shards by their number of all, and write the index."""
        if self.pending:
            self._flush()
        if len(self.written) == 1:
            self._part(0).rename(self.out / "model.safetensors")
            return
        weight_map = {}
        for i, names in enumerate(self.written):
            final = f"model-{i + 1:05d}-of-{len(self.written):05d}.safetensors"
            self._part(i).rename(self.out / final)
            weight_map |= dict.fromkeys(names, final)
        index = {"metadata": {"total_size": self.total_bytes}, "weight_map": weight_map}
        write_json(self.out / "model.safetensors.index.json", index)

    def _flush(self) -> None:
        save_file(self.pending, self._part(len(self.written)), metadata={"format": "pt"})
        self.written.append(list(self.pending))
        self.pending = {}

    def _part(self, i: int) -> Path:
        return self.out / f"part-{i:05d}.safetensors"

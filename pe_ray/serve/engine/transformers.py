"""The default engine: transformers on CPU or GPU, with small batches.

    engine = TransformersEngine(directory)        a merged model, or an adapter (told by its adapter.json)
    completion = await engine.complete(request)

Requests that arrive within 10 ms are decoded together, left-padded, with one key-value cache; a sequence that has ended
leaves the batch. One thread owns the model; callers wait on queues.
"""

# B sequences of the batch, T prompt tokens after padding

from __future__ import annotations

import asyncio
import hashlib
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pe_ray.errors import ManifestError
from pe_ray.record import Message
from pe_ray.security.body_guard import where
from pe_ray.serve.engine.base import (
    Completion,
    EngineBusy,
    EngineFailed,
    EngineInfo,
    Finish,
    GenerateRequest,
    PromptTooLong,
    TokenEvent,
    gather,
)
from pe_ray.store import manifest

LOG = logging.getLogger("pe_ray.engine")
END_OF_TURN = "<|im_end|>"
_CLOSE = object()


@dataclass(eq=False)
class _Sequence:
    """One reply under way: the ids so far and where its events go."""

    request: GenerateRequest = field(repr=False)
    prompt: list[int] = field(repr=False)
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[TokenEvent | Exception] = field(default_factory=asyncio.Queue, repr=False)
    ids: list[int] = field(default_factory=list, repr=False)
    prefix: int = 0
    read: int = 0
    cancelled: bool = False
    draw: torch.Generator | None = None

    def tell(self, event: TokenEvent | Exception) -> None:
        """Hand an event to the waiting caller; its loop may be gone."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self.cancelled = True


class TransformersEngine:
    """Loads a directory and answers until closed.

    Raises ManifestError for a directory that is not finished, AdapterNotFound or BaseModelError as `model.load` does.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        threads: int | None = None,
        device: str = "cpu",
        max_batch: int = 8,
        max_waiting: int = 64,
        gather_s: float = 0.01,
    ) -> None:
        if threads:
            torch.set_num_threads(threads)  # more than the cores we own spin against each other
        self.directory = Path(directory)
        self._model, self._tokenizer, self._info = _load(self.directory, device)
        self._max_batch, self._max_waiting, self._gather_s = max_batch, max_waiting, gather_s
        self._stops = _stop_ids(self._model, self._tokenizer)
        self._waiting: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="pe_ray-engine")
        self._thread.start()

    async def info(self) -> EngineInfo:
        """What is loaded."""
        return self._info

    async def health(self) -> bool:
        """Whether the thread that owns the model lives."""
        return self._thread.is_alive()

    async def complete(self, request: GenerateRequest) -> Completion:
        """The whole reply."""
        return await gather(self.generate(request))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The reply, token by token; a caller who leaves stops it."""
        if self._waiting.qsize() >= self._max_waiting:
            raise EngineBusy(f"{self._max_waiting} requests wait already")
        if not self._thread.is_alive():
            raise EngineFailed("the engine has stopped")
        sequence = _Sequence(request, self._encode(request), asyncio.get_running_loop())
        self._waiting.put(sequence)
        try:
            while True:
                event = await sequence.events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if event.finish is not None:
                    return
        finally:
            sequence.cancelled = True

    def close(self) -> None:
        """Stop the thread after the batch in hand."""
        self._waiting.put(_CLOSE)
        self._thread.join(timeout=30)

    # --- prompt -------------------------------------------------------------------------------------------------

    def _encode(self, request: GenerateRequest) -> list[int]:
        """Prompt ids; the oldest turns go where the context is short, the system prompt and the last message stay."""
        positions = int(getattr(self._model.config, "max_position_embeddings", 0) or 2**20)
        room = positions - min(request.max_new_tokens, positions // 2)
        system = [m for m in request.messages if m.role == "system"]
        turns = [m for m in request.messages if m.role != "system"]
        while True:
            ids = self._template([*system, *turns])
            if len(ids) <= room:
                return ids
            if len(turns) > 1:
                turns = turns[1:]
            elif system:
                system = []
            else:
                raise PromptTooLong(f"the message has {len(ids)} tokens; the model has room for {room}")

    def _template(self, messages: list[Message]) -> list[int]:
        turns = [{"role": m.role, "content": _no_marks(m.text, self._tokenizer)} for m in messages]
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    # --- the thread that owns the model -------------------------------------------------------------------------

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            if not batch:
                continue
            try:
                self._decode(batch)
            except Exception as error:  # noqa: BLE001 (one bad batch must not end the engine; callers get the failure)
                LOG.error("batch of %d failed: %s at %s", len(batch), type(error).__name__, where(error))
                for sequence in batch:
                    sequence.tell(EngineFailed("the engine could not answer"))

    def _next_batch(self) -> list[_Sequence] | None:
        """Who is decoded together: the first in line and what comes within the gathering time; None at the end."""
        batch: list[_Sequence] = []
        deadline: float | None = None
        while len(batch) < self._max_batch:
            try:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                item = self._waiting.get(timeout=timeout)
            except queue.Empty:
                break
            if item is _CLOSE:
                if batch:
                    self._waiting.put(_CLOSE)
                    break
                return None
            if not item.cancelled:
                batch.append(item)
            deadline = deadline or time.monotonic() + self._gather_s
        return batch

    @torch.inference_mode()
    def _decode(self, batch: list[_Sequence]) -> None:
        input_BT, mask_BT = self._pad(batch)
        position_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)
        past = None
        while batch:
            out = self._model(
                input_ids=input_BT,
                attention_mask=mask_BT,
                position_ids=position_BT,
                past_key_values=past,
                use_cache=True,
            )
            past = out.past_key_values
            ids_B = [_pick(logits, s) for logits, s in zip(out.logits[:, -1], batch, strict=True)]
            kept = [i for i, (s, id) in enumerate(zip(batch, ids_B, strict=True)) if self._advance(s, id)]
            if len(kept) < len(batch) and kept:
                past.batch_select_indices(torch.tensor(kept, device=mask_BT.device))
                mask_BT, position_BT = mask_BT[kept], position_BT[kept]
            batch = [batch[i] for i in kept]
            if batch:
                input_BT = mask_BT.new_tensor([[ids_B[i]] for i in kept])
                mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(batch), 1)], dim=1)
                position_BT = position_BT[:, -1:] + 1

    def _pad(self, batch: list[_Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(len(s.prompt) for s in batch)
        pad = self._tokenizer.pad_token_id or 0
        rows = [[pad] * (length - len(s.prompt)) + s.prompt for s in batch]
        masks = [[0] * (length - len(s.prompt)) + [1] * len(s.prompt) for s in batch]
        device = self._model.device
        return torch.tensor(rows, device=device), torch.tensor(masks, device=device)

    def _advance(self, sequence: _Sequence, id: int) -> bool:
        """Take the next token of a sequence and tell its caller; whether it goes on."""
        if sequence.cancelled:
            return False
        prompt = len(sequence.prompt) if not sequence.ids else 0
        ended = id in self._stops
        if not ended:
            sequence.ids.append(id)
        full = len(sequence.ids) >= sequence.request.max_new_tokens
        finish: Finish | None = "stop" if ended else "length" if full else None
        sequence.tell(TokenEvent(self._new_text(sequence, finish), 0 if ended else 1, finish, prompt))
        return finish is None

    def _new_text(self, sequence: _Sequence, finish: Finish | None) -> str:
        """What the ids say beyond what was shown; half a character waits for its other half."""
        before: str = self._tokenizer.decode(sequence.ids[sequence.prefix : sequence.read], skip_special_tokens=True)
        text: str = self._tokenizer.decode(sequence.ids[sequence.prefix :], skip_special_tokens=True)
        if text.endswith("\ufffd") and finish is None:
            return ""
        sequence.prefix, sequence.read = sequence.read, len(sequence.ids)
        return text[len(before) :]


def _pick(logits_V: torch.Tensor, sequence: _Sequence) -> int:
    temperature = sequence.request.temperature
    if temperature == 0:
        return int(logits_V.argmax())
    if sequence.draw is None:
        sequence.draw = torch.Generator(device=logits_V.device).manual_seed(sequence.request.seed)
    weights_V = torch.softmax(logits_V.float() / temperature, dim=-1)
    return int(torch.multinomial(weights_V, 1, generator=sequence.draw))


def _load(directory: Path, device: str) -> tuple[Any, Any, EngineInfo]:
    is_adapter = (directory / "adapter.json").is_file()
    facts: dict[str, Any] = {}
    if manifest.is_finished(directory):
        facts = dict(manifest.read(directory).facts)
    elif not is_adapter and not (directory / "config.json").is_file():
        raise ManifestError(f"{directory}: holds neither a merged model nor an adapter; run pe-ray export")
    if is_adapter:
        from pe_ray.model import load

        model, tokenizer = load(directory, device=device)
    else:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        found: Any = AutoModelForCausalLM.from_pretrained(directory, dtype="auto", local_files_only=True)
        model = found.to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return model, tokenizer, EngineInfo(_name(directory, facts), "adapter" if is_adapter else "merged", _demo(facts))


def _name(directory: Path, facts: dict[str, Any]) -> str:
    if "name" in facts and "version" in facts:
        return f"{facts['name']}@{facts['version']}"
    described = next((directory / n for n in ("adapter.json", "config.json") if (directory / n).is_file()), None)
    seal = hashlib.sha256((described.read_bytes() if described else b"") + str(directory.resolve()).encode())
    return f"{directory.name}@{seal.hexdigest()[:8]}"


def _demo(facts: dict[str, Any]) -> bool:
    return bool(facts.get("demo_base", False))


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every id that ends a turn: those of the model's generation settings, the tokenizer's, and the template's mark."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = {i for i in (configured if isinstance(configured, list) else [configured]) if i is not None}
    found |= {tokenizer.eos_token_id} - {None}
    mark = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    return frozenset(found | ({mark} if mark is not None and mark != tokenizer.unk_token_id else set()))


def _no_marks(text: str, tokenizer: Any) -> str:
    """A person's words without the template's own marks: nobody writes themselves another role."""
    for token in tokenizer.all_special_tokens:
        text = text.replace(token, " ")
    return text.replace("<|im_start|>", " ").replace(END_OF_TURN, " ")

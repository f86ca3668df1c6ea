"""The only training loop. Four sockets: batches, objective, hooks, and what happens after a step.

    result = fit(model, batches, objective, profile=profile, window=Window(600), settings=Settings(steps=60))

Framework-free: it runs alone, or on every rank of a `Collective`. What a step computes is a function of
(seed, step, rank) and of the parameters, so that a run which was killed and goes on from its checkpoint repeats the
losses of one that was not, bit for bit.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pe_ray.train import steplog
from pe_ray.train.checkpoint import Checkpoint, Checkpoints, restore
from pe_ray.train.collective import Alone, Collective, gather, sum_gradients_
from pe_ray.train.objective import Judged, Objective, judge, total
from pe_ray.train.packing import PackedBatch
from pe_ray.train.profiles import Profile
from pe_ray.train.state import FitResult, Settings, State
from pe_ray.train.window import Window

PREEMPTION_EVERY_S = 10.0
"""Between two questions whether a machine is being taken away: each is a barrier over all workers."""
STOPS = ("window", "steps", "early_stop", "signal", "nan")


class Batches(Protocol):
    """The second socket; a replay or a curriculum wraps it."""

    def start(self, step: int) -> Iterator[list[PackedBatch]]:
        """This rank's micro-batches of the step that follows `step` finished ones, and of all later ones."""


class Hook:
    """The third and fourth sockets; a method does what a subclass makes it do."""

    def terms(self, model: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        """More terms beside the objective's, already weighted."""
        return {}

    def before_update(self, model: nn.Module) -> None:
        """Look at, or change, the gradients of the step before the optimizer does."""


def fit(
    model: nn.Module,
    batches: Batches,
    objective: Objective,
    *,
    profile: Profile,
    window: Window,
    settings: Settings,
    hooks: Sequence[Hook] = (),
    clock: Callable[[], float] = time.monotonic,
    on_step: Callable[[Mapping[str, Any]], None] | None = None,
    evaluation: Sequence[PackedBatch] = (),
    checkpoints: Checkpoints | None = None,
    log: steplog.StepLog | None = None,
    collective: Collective | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
    preempted: Callable[[], bool] | None = None,
) -> FitResult:
    """Train what requires a gradient in `model` until the window, the steps, patience or a signal ends it.

    `evaluation` is this rank's part of the held-out batches, their weights shares of the whole over all ranks. Rank 0
    keeps the time, writes checkpoints and the log (hand them to every rank: the others only read), and decides to stop;
    `on_step` is called there with every line of the log. With `checkpoints`, a run goes on from the newest one.
    `preempted` says whether a machine of the run is about to be taken away; every rank is asked at the same step.
    """
    loop = _Loop(
        model, objective, profile, window, settings, hooks, clock, on_step, evaluation, checkpoints, log,
        collective or Alone(), stop_asked, preempted,
    )  # fmt: skip
    loop.resume()
    reason = loop.run(batches.start(loop.state.step))
    return loop.result(reason)


@dataclass
class _Loop:
    """The pieces of `fit`, in the order in which a run meets them."""

    model: nn.Module
    objective: Objective
    profile: Profile
    window: Window
    settings: Settings
    hooks: Sequence[Hook]
    clock: Callable[[], float]
    on_step: Callable[[Mapping[str, Any]], None] | None
    evaluation: Sequence[PackedBatch]
    checkpoints: Checkpoints | None
    log: steplog.StepLog | None
    collective: Collective
    stop_asked: Callable[[], bool]
    preempted: Callable[[], bool] | None

    def __post_init__(self) -> None:
        self.parameters = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.device = next(iter(self.parameters.values())).device
        self.optimizer = optimizer_of(self.parameters, self.settings)
        self.first = self.collective.rank == 0
        self.evaluates = sum(gather(self.collective, len(self.evaluation))) > 0
        self.state = State(horizon_steps=self.settings.steps)
        self.saved_step, self.saved_at = -1, self.clock()
        self.asked_at, self.leaving = self.clock(), False
        if self.profile.recompute:
            recompute(self.model)

    def resume(self) -> None:
        """Go on from the newest checkpoint; what the step log says has been used of the window counts too."""
        newest = self.checkpoints.latest() if self.checkpoints and self.first else None
        step = int(self.collective.broadcast([newest.step if newest else -1])[0])
        if self.checkpoints and step >= 0:
            found = self.checkpoints.at(step)
            restore(found, self.parameters, self.optimizer)
            self.state = State(**found.state())
            self.saved_step = step
        if self.first:
            used_s, pace_s = (self.log.elapsed_s, self.log.pace_s) if self.log else (0.0, None)
            self.window.reserve_s = self.state.eval_s
            self.window.resume(max(self.state.elapsed_s, used_s), self.state.step_s or pace_s)

    def run(self, stream: Iterator[list[PackedBatch]]) -> str:
        """Steps until there is a reason to stop."""
        if self.state.eval_step < 0:
            self.evaluate()
        reason = self.look_up(None)
        while reason is None:
            reason = self.look_up(self.step(next(stream)))
        return reason

    def step(self, micro_batches: list[PackedBatch]) -> dict[str, Any]:
        """One optimizer step, or a skipped one; returns its line for the log."""
        began, state = self.clock(), self.state
        torch.manual_seed(_mix(self.settings.seed, state.step, self.collective.rank))
        sums = self._gradients(micro_batches)
        sum_gradients_(list(self.parameters.values()), self.collective)
        for hook in self.hooks:
            hook.before_update(self.model)
        rate = self.settings.schedule.rate(state.step, state.horizon_steps)
        # A loss or gradient that is not finite stays so in the sums, so that every rank sees it and skips the step.
        good = self._update(rate) if all(map(math.isfinite, sums.terms.values())) else False
        state.step += 1
        state.tokens += sums.tokens
        state.train_s += self.clock() - began
        state.note(next(iter(sums.terms.values())) if good else None, sums.share)
        line: dict[str, Any] = {"step": state.step, "loss": None, "terms": {}, "lr": rate, "tokens": sums.tokens}
        line |= {"elapsed_s": 0.0, "horizon_steps": state.horizon_steps}
        if not good:
            return line | {"skipped": True}
        coefficients = self.objective.coefficients
        line |= {"loss": sum(coefficients.get(n, 1.0) * v for n, v in sums.terms.items()), "terms": sums.terms}
        line |= {"slope": state.slope} if state.slope is not None else {}
        return line | ({"expert_share": sums.share} if sums.share else {})

    def _gradients(self, micro_batches: list[PackedBatch]) -> _Sums:
        """Run the micro-batches, and add up what is logged over them and over the ranks."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        names: list[str] = []
        rows: list[Tensor] = []
        for batch in (b.to(self.device) for b in micro_batches):
            terms = self.objective.terms(self.model, batch)
            for hook in self.hooks:
                terms |= hook.terms(self.model, batch)
            load_E = self.objective.expert_load(self.model, batch)
            (total(terms, self.objective.coefficients) * batch.weight).backward()
            names = list(terms)
            logged = [torch.stack([t.detach().double() for t in terms.values()]) * batch.weight]
            rows.append(torch.cat([*logged, *([] if load_E is None else [load_E.double()])]))
        tokens = torch.tensor([float(sum(b.num_tokens for b in micro_batches))], dtype=torch.float64)
        values = self.collective.all_reduce_(torch.cat([tokens, torch.stack(rows).sum(0).cpu()])).tolist()
        load = values[1 + len(names) :]
        share = [v / max(1.0, sum(load)) for v in load]
        return _Sums(int(values[0]), dict(zip(names, values[1:], strict=False)), share)

    def _update(self, rate: float) -> bool:
        """Clip and move the parameters; False, and nothing moved, where the gradient is not finite."""
        parameters = list(self.parameters.values())
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not math.isfinite(norm.item()):
            return False
        nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_norm, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return True

    def look_up(self, line: dict[str, Any] | None) -> str | None:
        """After a step: the clock, evaluation, the log, a checkpoint; the reason to stop, if there is one."""
        state, every = self.state, self.settings.eval_every_steps
        reason, leaving = self._agree()
        wanted = state.step % every == 0 if reason is None else reason != "signal"
        gained = wanted and state.eval_step != state.step and self.evaluate()
        evaluated = wanted and state.eval_step == state.step
        if reason is None and state.evals_without_gain >= self.settings.patience:
            reason = "early_stop"
        if self.first:
            state.elapsed_s, state.step_s = self.window.elapsed_s, self.window.step_s
            if line is not None:
                self._write(line, evaluated)
            if reason or gained or self._due() or leaving:
                self._save()
        return reason

    def _agree(self) -> tuple[str | None, bool]:
        """Rank 0 looks at the clock and decides; everybody hears of it. And whether a checkpoint is wanted at once,
        because a machine is newly being taken away."""
        state, code, ask = self.state, 0, False
        if self.first:
            state.horizon_steps = self.window.horizon(state.step, self.settings.steps, state.horizon_steps)
            reason = self._reason()
            code = STOPS.index(reason) + 1 if reason else 0
            ask = self.preempted is not None and self.clock() - self.asked_at >= PREEMPTION_EVERY_S
        told = self.collective.broadcast([code, state.horizon_steps, ask])
        state.horizon_steps = int(told[1])
        leaving = False
        if told[2] and self.preempted is not None:
            before, self.leaving = self.leaving, self.preempted()
            leaving, self.asked_at = self.leaving and not before, self.clock()
        return (STOPS[int(told[0]) - 1] if told[0] else None), leaving

    def _reason(self) -> str | None:
        state, settings = self.state, self.settings
        coming = self.evaluates and state.step % settings.eval_every_steps == 0 and state.eval_step != state.step
        if state.bad_in_row >= settings.max_bad_steps:
            return "nan"
        if state.step >= settings.steps:
            return "steps"
        if self.stop_asked():
            return "signal"
        # an evaluation that is due now would end past the deadline: let it be the last one
        if self.window.over(ahead_s=self.window.reserve_s if coming else 0.0):
            return "window"
        return "early_stop" if state.evals_without_gain >= settings.patience else None

    @torch.no_grad()
    def evaluate(self) -> bool:
        """Mean of the first term over the held-out batches, without dropout; whether it is the best so far."""
        state, began = self.state, self.clock()
        if not self.evaluates:
            state.eval_step = state.step
            return False
        self.model.eval()
        loss, domains = torch.zeros(1, dtype=torch.float64), self.objective.domains
        judged = torch.zeros(3 + 2 * domains, dtype=torch.float64)
        load_E: Tensor | None = None
        for batch in (b.to(self.device) for b in self.evaluation):
            if domains:
                judged += judge(self.model, batch, domains).sums
                found = self.objective.expert_load(self.model, batch)
                load_E = found.double().cpu() + (0 if load_E is None else load_E) if found is not None else None
            else:
                loss += next(iter(self.objective.terms(self.model, batch).values())).double().cpu() * batch.weight
        value = self._found(judged, load_E) if domains else self.collective.all_reduce_(loss).item()
        if self.first:
            state.eval_s = self.window.reserve_s = self.clock() - began
        return state.judge(value if math.isfinite(value) else None)

    def _found(self, judged: Tensor, load_E: Tensor | None) -> float:
        """The loss over all ranks; the rest is kept in the state."""
        domains = self.objective.domains
        routed = load_E if load_E is not None else judged.new_zeros(domains)
        total_sums = self.collective.all_reduce_(torch.cat([judged, routed]))
        facts = Judged(total_sums[: 3 + 2 * domains], domains).facts()
        load = total_sums[3 + 2 * domains :]
        loss = facts.pop("loss")
        self.state.eval = facts | {"expert_share": (load / load.sum().clamp(min=1)).tolist()}
        return math.nan if loss is None else loss

    def _write(self, line: dict[str, Any], evaluated: bool) -> None:
        line["elapsed_s"] = round(self.state.elapsed_s, 4)
        if evaluated and self.state.eval_loss is not None:
            line |= {"eval_loss": self.state.eval_loss} | ({"eval": self.state.eval} if self.state.eval else {})
        if self.log:
            self.log.write(line)
        if self.on_step:
            self.on_step(line)

    def _due(self) -> bool:
        every = self.settings.checkpoint_every_steps
        by_steps = every is not None and self.state.step > 0 and self.state.step % every == 0
        return by_steps or self.clock() - self.saved_at >= self.settings.checkpoint_every_s

    def _save(self) -> None:
        if self.checkpoints is None or self.saved_step == self.state.step:
            return
        state = self.state
        eval_loss = state.eval_loss if state.eval_step == state.step else None
        self.checkpoints.save(state.step, self.parameters, self.optimizer, asdict(state), eval_loss)
        self.saved_step, self.saved_at = state.step, self.clock()

    def result(self, reason: str) -> FitResult:
        """What `fit` gives back, when the last checkpoint is on disk."""
        if self.checkpoints and self.first:
            self.checkpoints.wait()
        chosen: Checkpoint | None = self.checkpoints.best() if self.checkpoints and self.first else None
        return FitResult(self.state, reason, chosen)


@dataclass(frozen=True)
class _Sums:
    """Of one step, over its micro-batches and ranks."""

    tokens: int
    terms: dict[str, float]
    share: list[float]


def recompute(model: nn.Module) -> None:
    """Keep only the input of each layer, and run its forward pass again in the backward pass."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})  # the other kind would cut the routers' logits off from their graph


def optimizer_of(parameters: Mapping[str, nn.Parameter], settings: Settings) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices only."""
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.schedule.peak, fused=True)


def _mix(seed: int, step: int, rank: int) -> int:
    """The generator's seed in one step of one rank: dropout needs no state in the checkpoint."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{step}:{rank}".encode(), digest_size=7).digest(), "big")

"""How a transformer is fine-tuned: batches of like length, AdamW, warmup and cosine, on one process or several."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import distributed, nn

from arxivcli import metrics
from arxivcli.errors import FolderError, TrainingError
from arxivcli.models import bucketing, encoders, tokens, tuning
from arxivcli.models.finetuned import FinetunedClassifier
from arxivcli.models.mix import Mix
from arxivcli.models.targets import losses, targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from arxivcli.models.base import LabelledTexts
    from arxivcli.models.encoders import Pretrained
    from arxivcli.models.finetuned_settings import FinetunedSettings
    from arxivcli.models.tokens import Papers
    from arxivcli.surroundings import Surroundings

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_DROPOUT = ("hidden_dropout_prob", "dropout", "resid_dropout", "mlp_dropout")
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""What encoders of different families call it."""
_FIRST_SCALE = 4096.0
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class FinetunedTrainee:
    """A transformer being fine-tuned (see `learning.loop.Trainee`).

    Each batch goes through the network in parts of `micro_batch` papers, every part with a random state of its own, and
    several processes share the parts: the gradient is the same however many processes there are.
    """

    def __init__(
        self,
        settings: FinetunedSettings,
        pretrained: Pretrained,
        papers: tuple[LabelledTexts, LabelledTexts],
        surroundings: Surroundings,
    ) -> None:
        self.settings = settings
        self.labels = papers[0].labels
        self._tokenizer = pretrained.tokenizer
        self._surroundings = surroundings
        self._place = surroundings.place
        self._frozen = tuning.freeze(pretrained.network, settings.freeze_layers)  # refuses before long work
        self._training, self._validation = (tokens.Papers.of(self._tokenizer, some, surroundings) for some in papers)
        count = max(1, len(papers[0].truth))
        self.papers_per_step = min(settings.batch_size, count)
        self._steps = bucketing.LikeLengths(self._training.whole.lengths, self.papers_per_step, settings.seed)
        self.steps_per_epoch = self._steps.per_epoch
        self.epochs = settings.epochs
        self.rate = 0.0
        self.patience = settings.patience
        self.provisional = False
        self._part = settings.micro_batch or -(-self.papers_per_step // self._place.processes)
        self._mix = Mix.of(papers[0], settings.balance)
        network: nn.Module = pretrained.network
        if settings.lora_rank:
            network = tuning.with_lora(
                pretrained.network,
                settings.lora_rank,
                settings.lora_alpha,
                settings.lora_dropout,
                settings.freeze_layers,
            )
        self._network = network.to(self._place.device)
        self._forward = torch.compile(network, dynamic=True) if settings.compile else network
        self._learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
        groups = tuning.groups(network, settings.weight_decay, settings.layer_decay)
        self._stepper = torch.optim.AdamW(groups, lr=settings.lr, fused=self._device in {"cpu", "cuda"})
        self._scaler = torch.amp.GradScaler(
            self._device, init_scale=_FIRST_SCALE, enabled=self._place.precision == "fp16"
        )
        self._fingerprint = self._frozen_hash()

    @classmethod
    def prepare(
        cls,
        settings: FinetunedSettings,
        training: LabelledTexts,
        validation: LabelledTexts,
        surroundings: Surroundings,
    ) -> Self:
        """Load the encoder and turn both splits into tokens. Raises as `encoders.load` does."""
        torch.manual_seed(settings.seed)
        # A config takes of these what it knows. Without dropout in it, attention is a third to a half quicker.
        options: dict[str, Any] = dict.fromkeys(_ATTENTION_DROPOUT, settings.attention_dropout)
        if settings.dropout is not None:
            options |= dict.fromkeys(_DROPOUT, settings.dropout)
        if settings.task == "all":
            options["problem_type"] = "multi_label_classification"
        pretrained = encoders.load(settings.encoder, training.labels, options, surroundings.progress)
        most = min(
            settings.max_length,
            pretrained.tokenizer.model_max_length,
            getattr(pretrained.network.config, "max_position_embeddings", settings.max_length),
        )
        if most < settings.max_length:
            surroundings.progress.note(f"{settings.encoder} reads {most} tokens at most")
        pretrained.tokenizer.model_max_length = most
        return cls(settings, pretrained, (training, validation), surroundings)

    @property
    def _device(self) -> str:
        return torch.device(self._place.device).type

    def step(self, number: int) -> float:
        """Learn from the batch of global step `number`; its loss, NaN when it was skipped."""
        self.rate = self.settings.lr * self._schedule(number)
        self._network.train()
        for module in self._frozen:
            module.eval()
        while (loss := self._gradients(number)) is None:
            self._halve()
        self._scaler.unscale_(self._stepper)
        norm = nn.utils.clip_grad_norm_(self._learning.values(), self.settings.max_norm)
        fine = math.isfinite(loss) and bool(norm.isfinite())
        if fine:
            for group in self._stepper.param_groups:
                group["lr"] = self.rate * group["share"]
            self._scaler.step(self._stepper)
        if self._scaler.is_enabled():
            self._scaler.update()
        return loss if fine else math.nan

    def _schedule(self, number: int) -> float:
        """Share of the rate: up in a straight line, then down to zero as half a cosine."""
        steps = self.epochs * self.steps_per_epoch
        warm = math.ceil(self.settings.warmup * steps)
        if number < warm:
            return (number + 1) / warm
        return (1 + math.cos(math.pi * (number - warm) / max(1, steps - warm))) / 2

    def _gradients(self, number: int) -> float | None:
        """Gradients of the whole batch, summed over processes; its loss, None when a process ran out of memory."""
        self._stepper.zero_grad(set_to_none=True)
        rows = self._steps[number]
        from_title = np.random.default_rng([self.settings.seed, 2, number]).random(len(rows)) < self.settings.title_only
        total, failed = torch.zeros((), device=self._place.device), False
        for part, start in enumerate(range(0, len(rows), self._part)):
            if part % self._place.processes != self._place.rank:
                continue
            torch.manual_seed(int(np.random.default_rng([self.settings.seed, 3, number, part]).integers(2**62)))
            some = slice(start, start + self._part)
            try:
                logits = self._logits(self._training, rows[some], from_title[some])
                loss = self._losses(logits, self._training, rows[some]).sum() / len(rows)
                torch.autograd.backward(self._scaler.scale(loss))
            except RuntimeError as error:
                _require_want_of_memory(error)
                failed = True
                break
            total += loss.detach()
        return self._summed(total, failed)

    def _summed(self, total: torch.Tensor, failed: bool) -> float | None:
        if self._place.processes > 1:
            every = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self._learning.values()]
            flat = torch.cat([*(grad.flatten() for grad in every), total[None], total.new_tensor([float(failed)])])
            distributed.all_reduce(flat)
            start = 0
            for parameter in self._learning.values():
                parameter.grad = flat[start : start + parameter.numel()].view_as(parameter)
                start += parameter.numel()
            total, failed = flat[-2], bool(flat[-1] > 0)
        return None if failed else float(total.item())

    def _halve(self) -> None:
        """Smaller parts of the same batch. Raises TrainingError when a single paper is too much."""
        self._stepper.zero_grad(set_to_none=True)
        if self._device != "cpu":
            getattr(torch, self._device).empty_cache()
        if self._part == 1:
            raise TrainingError(
                "there is not enough memory to train on one paper", "use a smaller encoder or max_length"
            )
        self._part = -(-self._part // 2)
        self._surroundings.progress.note(f"out of memory: {self._part} papers at once from here on")

    def _losses(self, logits: torch.Tensor, papers: Papers, rows: NDArray[np.int64]) -> torch.Tensor:
        """What each paper adds to the loss, (rows,)."""
        chosen = self.settings
        wanted = targets(papers.truth[rows], papers.listed[rows], len(self.labels), chosen.task, chosen.cross_lists)
        weights = torch.from_numpy(self._mix.weights[papers.truth[rows]]).float().to(logits.device)
        return losses(logits, torch.from_numpy(wanted).to(logits.device), chosen.task, chosen.label_smoothing) * weights

    def _logits(self, papers: Papers, rows: NDArray[np.int64], from_title: NDArray[np.bool_]) -> torch.Tensor:
        read, mask = papers.padded(rows, from_title, self._tokenizer.pad_token_id or 0)
        precision = self._place.precision
        with torch.autocast(self._device, _DTYPES.get(precision), enabled=precision in _DTYPES):
            found: torch.Tensor = self._forward(
                input_ids=torch.from_numpy(read).to(self._place.device, non_blocking=True),
                attention_mask=torch.from_numpy(mask).to(self._place.device, non_blocking=True),
            ).logits
        return found.float()

    def batch(self, number: int) -> Sequence[str]:
        """Ids of the papers of a step."""
        return self._training.ids(self._steps[number])

    def validate(self) -> dict[str, float]:
        """Loss, top-1, top-3 and macro-F1 on the validation papers in the wanted mix of labels, and top-1 by titles."""
        papers = self._validation
        self._network.eval()
        count = len(papers.truth)
        whole, titles = (self._scores(papers, np.full(count, by_title)) for by_title in (False, True))
        weights = self._mix.importance[papers.truth]
        rows = np.arange(count)
        each = self._losses(torch.from_numpy(whole), papers, rows).double().numpy()
        each *= weights / self._mix.weights[papers.truth]
        hit = metrics.top(whole, 3) == papers.truth[:, None]
        per_label = metrics.label_quality(whole.argmax(1), papers.truth, len(self.labels), weights)
        return {
            "loss": float(each.sum() / weights.sum()),
            "top1": float(hit[:, 0] @ weights / weights.sum()),
            "top3": float(hit.any(1) @ weights / weights.sum()),
            "macro_f1": float(per_label.f1[per_label.support > 0].mean()),
            "title_only_top1": float((titles.argmax(1) == papers.truth) @ weights / weights.sum()),
        }

    def _scores(self, papers: Papers, from_title: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Logits of all papers, (n, L), the processes sharing the work."""
        logits = torch.zeros((len(papers.truth), len(self.labels)), device=self._place.device)
        lengths = papers.titles.lengths if from_title.all() else papers.whole.lengths
        with torch.inference_mode():
            for number, rows in enumerate(bucketing.batches(lengths)):
                if number % self._place.processes == self._place.rank:
                    logits[torch.from_numpy(rows)] = self._logits(papers, rows, from_title[rows])
            if self._place.processes > 1:
                distributed.all_reduce(logits)
        return logits.cpu().numpy() + self._mix.shift.astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights that learn, the moments of their gradients, papers at once, the scale of fp16 losses."""
        tensors = {f"weight.{name}": weight for name, weight in self.weights().items()}
        for name, parameter in self._learning.items():
            for moment, value in self._stepper.state[parameter].items():
                tensors[f"{moment}.{name}"] = value.detach().cpu().numpy()
        scale = self._scaler.state_dict()
        tensors["scale"] = np.array([scale.get("scale", 0.0), scale.get("_growth_tracker", 0)])
        return tensors | {"part": np.array(self._part), "frozen": self._fingerprint}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go back to a state. Raises FolderError when it was another encoder's."""
        if not np.array_equal(state["frozen"], self._fingerprint):
            raise FolderError(
                f"the encoder {self.settings.encoder} is not the one this training began with",
                "bring it back, or --restart to begin anew",
            )
        self._set({name.removeprefix("weight."): t for name, t in state.items() if name.startswith("weight.")})
        for name, parameter in self._learning.items():
            for moment in ("step", "exp_avg", "exp_avg_sq"):
                if f"{moment}.{name}" in state:
                    value = torch.from_numpy(state[f"{moment}.{name}"].copy())
                    self._stepper.state[parameter][moment] = value.to(self._place.device)
        if self._scaler.is_enabled():
            scale, growth = state["scale"].tolist()
            self._scaler.load_state_dict(self._scaler.state_dict() | {"scale": scale, "_growth_tracker": int(growth)})
        self._part = int(state["part"])

    def weights(self) -> dict[str, NDArray[Any]]:
        """The weights that learn, as they are now (on the CPU views, not copies)."""
        return {name: p.detach().cpu().contiguous().numpy() for name, p in self._learning.items()}

    def facts(self) -> dict[str, Any]:
        """How many papers went through the network together: fewer than wanted where memory was short."""
        return {"papers_at_once": self._part}

    def _set(self, weights: dict[str, NDArray[Any]]) -> None:
        with torch.no_grad():
            for name, parameter in self._learning.items():
                parameter.copy_(torch.from_numpy(weights[name]))

    def _frozen_hash(self) -> NDArray[np.uint8]:
        """SHA-256 of what does not learn, and of the tokenizer."""
        digest = hashlib.sha256(self._tokenizer.backend_tokenizer.to_str().encode())
        for name, parameter in self._network.named_parameters():
            if name not in self._learning:
                digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
        return np.frombuffer(digest.digest(), np.uint8)

    def classifier(self, weights: dict[str, NDArray[Any]]) -> FinetunedClassifier:
        """The finished model from weights of `weights()`; nothing can be learned afterwards."""
        self._set(weights)
        network = tuning.merged(self._network)
        network.train(mode=False)
        tuning.shift_bias(network, torch.from_numpy(self._mix.shift))
        return FinetunedClassifier(self.labels, network, self._tokenizer)


def _require_want_of_memory(error: RuntimeError) -> None:
    """Return for the errors by which devices say that memory is full; raise any other.

    CUDA and XPU have a class for it, MPS and the CPU have words only.
    """
    if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        said = " ".join(str(error).partition("\n")[0].split())
        raise TrainingError(f"the network cannot be compiled: {said}", "train it with --set compile=false") from error
    raise error

"""Pretrained encoders: found in a folder or on the Hugging Face hub, and what can be wrong with them said in a line."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub import errors as hub
from huggingface_hub.utils.tqdm import disable_progress_bars
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from arxivcli.errors import ArxivcliError, FolderError, RemoteError, UsageError
from arxivcli.models import tuning

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from arxivcli.progress import Progress

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_MOST_SAID = 300
_SAVE = (
    "python -c \"from transformers import AutoModel as M, AutoTokenizer as T; n='{name}'; "
    "M.from_pretrained(n).save_pretrained('FOLDER'); T.from_pretrained(n).save_pretrained('FOLDER')\""
)
_ELSEWHERE = f"on a computer with a network run {_SAVE}, copy FOLDER here and use --encoder FOLDER"
_CONVERT = f"where you trust these run {_SAVE} and use --encoder FOLDER"


@dataclass(frozen=True)
class Pretrained:
    """A network with a head for the labels, not trained yet, and the tokenizer that goes with it."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast


def hush() -> None:
    """Keep the libraries' bars, reports and advice off people's screens; what matters comes out as our errors."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    disable_progress_bars()
    for name in ("huggingface_hub", "torch.distributed.elastic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def load(encoder: str, labels: tuple[str, ...], options: dict[str, Any], progress: Progress) -> Pretrained:
    """An encoder with a fresh head for `labels`, its weights fp32 and read from safetensors only.

    Args:
        encoder: a folder, or a name on the hub, which is asked only when it can be reached.
        labels: what the head answers.
        options: for the network's config, such as dropout.
        progress: hears of a download.

    Raises:
        UsageError: there is no such folder or name, or its tokenizer is of a kind that cannot be used.
        RemoteError: the hub cannot be reached and the encoder was not downloaded before.
        FolderError: the folder is no model, or has no safetensors.
    """
    hush()
    source = _source(encoder, progress)
    try:
        found = _loaded(encoder, source, {"num_labels": len(labels), **named(labels), **options})
    except ArxivcliError:
        raise
    except Exception as error:
        raise _told(error, encoder, source) from error
    if not getattr(found.tokenizer, "is_fast", False):
        raise UsageError(f"the tokenizer of {encoder} is of an old kind", "use an encoder that has a tokenizer.json")
    require_words(found.tokenizer, encoder)
    if len(found.tokenizer) > words(found.network):
        raise FolderError(f"the tokenizer of {encoder} knows more words than its weights", "copy the encoder again")
    return found


def require_words(tokenizer: Any, encoder: str) -> None:
    """Raises FolderError for a tokenizer that takes every word for unknown: the library's own, where no file is."""
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise FolderError(
            f"{encoder} has no tokenizer.json nor another vocabulary", "copy all files of the encoder, not only weights"
        )


def words(network: PreTrainedModel) -> int:
    """How many token ids the network knows."""
    return len(network.get_input_embeddings().weight)  # type: ignore[arg-type]


def named(labels: tuple[str, ...]) -> dict[str, Any]:
    """What a config says about labels."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


@dataclass(frozen=True)
class _Source:
    """Where transformers shall look: in a folder, on the hub, or (`why` not) only among what was downloaded before."""

    local: bool
    why: str = ""


def _source(encoder: str, progress: Progress) -> _Source:
    path = Path(encoder)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise FolderError(f"{path} is no encoder: it has no config.json", "name the folder of a transformers model")
        if not any((path / name).is_file() for name in _WEIGHTS):
            raise FolderError(
                f"{path} has no {_WEIGHTS[0]}, and other weights are not read", _CONVERT.format(name=path)
            )
        return _Source(local=True)
    if path.exists():
        raise UsageError(f"encoder {encoder} is a file, not a folder", "name the folder of a transformers model")
    wrong = UsageError(f"there is no encoder {encoder}", "name a folder, or a name on the Hugging Face hub")
    try:
        get_hf_file_metadata(hf_hub_url(encoder, "config.json"))
    except hub.HFValidationError as error:
        raise wrong from error
    except hub.GatedRepoError as error:
        raise RemoteError(f"the hub gives {encoder} to members only", "run `hf auth login` first") from error
    except hub.RemoteEntryNotFoundError as error:
        raise UsageError(f"{encoder} on the hub is no encoder: it has no config.json", "choose another") from error
    except hub.RepositoryNotFoundError as error:
        hint = "check its name; for a private one run `hf auth login`"
        raise UsageError(f"the hub has no encoder {encoder}", hint) from error
    except Exception as error:  # noqa: BLE001  which errors a lost network makes depends on the hub library's version
        return _Source(local=True, why=" ".join(str(error).split()) or type(error).__name__)
    progress.note(f"taking {encoder} from the Hugging Face hub")
    return _Source(local=False)


def _loaded(encoder: str, source: _Source, options: dict[str, Any]) -> Pretrained:
    where = {"local_files_only": source.local, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(encoder, **where, **options)
    network, told = AutoModelForSequenceClassification.from_pretrained(
        encoder,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        output_loading_info=True,
        **where,
        **(_kept_revision(encoder) if source.why else {}),
    )
    # A head and a pooler may well be new; what lies below them must have been there.
    lacking = sorted(tuning.pretrained(network) & set(told["missing_keys"]))
    if lacking:
        raise FolderError(f"the weights of {encoder} do not fit its config: {lacking[0]} is not there", "copy it again")
    tokenizer = cast("Any", AutoTokenizer.from_pretrained(encoder, **where))
    for name in ("is_local", "local_files_only"):  # would be saved, and tell nobody anything
        tokenizer.init_kwargs.pop(name, None)
    return Pretrained(network, tokenizer)


def _kept_revision(encoder: str) -> dict[str, str]:
    """The safetensors of an old model are in a pull request on the hub: which one, if it was downloaded before."""
    kept = Path(constants.HF_HUB_CACHE) / f"models--{encoder.replace('/', '--')}"
    for reference in sorted(kept.glob("refs/refs/pr/*")):
        if (kept / "snapshots" / reference.read_text("utf-8").strip() / _WEIGHTS[0]).is_file():
            return {"revision": f"refs/pr/{reference.name}"}
    return {}


def _told(error: Exception, encoder: str, source: _Source) -> ArxivcliError:
    """What went wrong while loading, as far as we can know."""
    said = " ".join(str(error).split())[:_MOST_SAID] or type(error).__name__
    if source.why:
        return RemoteError(
            f"{encoder} is no folder here, and the hub cannot be had: {source.why[:_MOST_SAID]}",
            _ELSEWHERE.format(name=encoder),
        )
    if "use_safetensors" in said:
        return FolderError(
            f"{encoder} has no safetensors, and other weights are not read", _CONVERT.format(name=encoder)
        )
    if source.local:
        return FolderError(f"{encoder} is no encoder that can be read: {said}", "copy it again, or name another")
    hint = f"run the same command again, or {_ELSEWHERE.format(name=encoder)}"
    return RemoteError(f"cannot take {encoder} from the hub: {said}", hint)

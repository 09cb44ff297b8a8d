"""Pretrained encoders by name: a folder, or what the Hugging Face hub (or its local cache) has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from arxivcli.errors import RemoteError, UsageError
from arxivcli.models import encoders

if TYPE_CHECKING:
    from arxivcli.progress import Progress

_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""Weights that hold no code, settings and vocabularies: never a pickle."""
_UNWANTED = ["onnx/*", "openvino/*", "coreml/*", "*/onnx/*", "*/openvino/*"]
_OFFLINE = "copy its folder from a machine that has it and name the folder with --encoder"


def folder(name: str, progress: Progress) -> Path:
    """Where an encoder lies, downloaded if need be.

    Raises:
        UsageError: there is no such folder or no such name.
        RemoteError: the hub cannot be had, and the local cache does not hold it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        what = "a file, not a folder" if path.exists() else "no folder"
        raise UsageError(f"encoder {name} is {what}", "name the folder of a saved encoder, or a name on the hub")
    encoders.hush()
    progress.note(f"taking {name} from the Hugging Face hub or its cache here")
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except HFValidationError as error:
        raise UsageError(f"{name!r} is no name of an encoder", "give a folder, or a name such as ORG/NAME") from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"there is no folder {name}, and the hub has no encoder of that name or shows it to members only",
            "correct the name, or log in with `hf auth login`",
        ) from error
    except OSError as error:
        why = _first_line(error.__cause__ or error)
        raise RemoteError(
            f"encoder {name} is not on this machine, and the hub cannot be had ({why})", _OFFLINE
        ) from error


def _first_line(error: BaseException) -> str:
    """What it says, in a few words."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return line.rstrip(". ").partition(" for url")[0].partition(": To enable")[0][:160]

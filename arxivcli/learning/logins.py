"""Whether and where trainings are tracked: what the environment and `wandb login` say, without asking anybody.

wandb itself is not imported: this is asked before every training, also by people who have never heard of it.
"""

from __future__ import annotations

import configparser
import netrc
import os
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from arxivcli.errors import UsageError, unknown

Mode = Literal["online", "offline", "disabled"]

_CLOUD = "https://api.wandb.ai"
_CLOUD_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""One server: its address changed with wandb 0.31, and keys are kept under either."""

_SYNONYMS = {"dryrun": "offline", "run": "online", "shared": "online"}


def mode(asked: Mode | None) -> Mode:
    """How to track: as asked, else as WANDB_MODE says, else online for people who are logged in. Raises UsageError."""
    said = os.environ.get("WANDB_MODE", "").strip().lower()
    chosen = asked or _SYNONYMS.get(said, said)
    if chosen not in {"", *get_args(Mode)}:
        raise unknown("WANDB_MODE", said, get_args(Mode))
    if not chosen:
        chosen = "online" if _key_place() and not _is_off() else "disabled"
    if chosen == "online" and not _key_place():
        raise UsageError(
            "W&B has no key for " + server(), "run `wandb login`, set WANDB_API_KEY, or choose --wandb offline"
        )
    return next(each for each in get_args(Mode) if each == chosen)


def login() -> tuple[Literal["ok", "note", "warning"], str, str]:
    """Whether trainings are tracked, said without asking anybody: state, what is so, and how to change it."""
    try:
        chosen = mode(None)
    except UsageError as error:
        return "warning", error.what, error.hint
    place = _key_place()
    if place:
        return "ok", f"logged in to {server()} by {place}; trainings are tracked {chosen}", ""
    if chosen == "offline":
        return "ok", "WANDB_MODE=offline: trainings are tracked on disk", ""
    return "note", "not logged in: trainings are not tracked", "wandb login"


def cache_folder() -> Path:
    """Where wandb keeps what it can get again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("WANDB_CACHE_DIR") or Path(home) / "wandb")


def _is_off() -> bool:
    return os.environ.get("WANDB_DISABLED", "").lower() in {"1", "true", "yes", "on"}


def server() -> str:
    """The server's address: from the environment, or where `wandb login --host` left it."""
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    left = configparser.ConfigParser(interpolation=None)
    try:
        left.read(folder / "settings", "utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        left.clear()  # not ours to mend, and wandb itself passes over it
    parts = urlsplit(os.environ.get("WANDB_BASE_URL") or left.get("default", "base_url", fallback="") or _CLOUD)
    host = parts.netloc.rpartition("@")[2]  # before the @ there may be a password
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def _key_place() -> str:
    """Where wandb will find a key, empty when nowhere; the key itself is not looked at."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        if os.environ.get(name):
            return name
    usual = [Path.home() / ".netrc", Path.home() / "_netrc"]
    path = Path(os.environ.get("NETRC") or next((p for p in usual if p.exists()), usual[0])).expanduser()
    host = urlsplit(server()).netloc
    try:
        entries = netrc.netrc(path)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        return ""
    found = [entries.authenticators(name) for name in (_CLOUD_HOSTS if host in _CLOUD_HOSTS else (host,))]
    return str(path) if any(entry and entry[2] for entry in found) else ""

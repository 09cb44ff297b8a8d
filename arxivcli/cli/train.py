"""`arxivcli train`: a corpus folder in, a model folder out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from arxivcli.cli import console
from arxivcli.cli.options import DeviceOption, state

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Tracking = Literal["online", "offline", "disabled"]
Task = Literal["primary", "all"]


def train(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", "-m", help="Preset to train: see --list.")] = "fast",
    data: Annotated[Path, typer.Option("--data", "-d", help="Corpus folder made by preprocess.")] = Path("data/papers"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the finished model.", show_default="models/PRESET")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings over the preset's.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="One setting, key=value; repeatable.")] = None,
    balance: Annotated[
        float | None, typer.Option(min=0, max=1, help="0 counts papers alike, 1 labels alike (class weights).")
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(help="Learn the primary category or all of them (transformers).", show_default="primary"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, corpus and settings: same model.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget an earlier training in the output folder.")
    ] = False,
    encoder: Annotated[
        str | None, typer.Option(help="Pretrained encoder: a folder, or a name on the Hugging Face hub.")
    ] = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Of the arithmetic; auto is bf16 where that is quicker.")
    ] = "auto",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network first, for long trainings (transformers).")
    ] = False,
    wandb: Annotated[
        Tracking | None,
        typer.Option(
            help="Track with Weights & Biases; offline keeps it for `wandb sync`.",
            show_default="online when logged in, unless WANDB_MODE says otherwise; else disabled",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the presets and their settings, and exit.")] = False,
) -> None:
    """Train a model on a corpus; the same command continues an interrupted training."""
    if show:
        from arxivcli.models import shelf

        presets = {name: shelf.preset(name) for name in shelf.presets()}
        settings = {name: shelf.settings(values["kind"])(**values) for name, values in presets.items()}
        rows = [
            (name, key, "automatic" if value is None else value)
            for name, chosen in settings.items()
            for key, value in chosen.model_dump().items()
        ]
        return console.show_table(("preset", "setting", "value"), rows)
    from arxivcli.cli import watching

    progress, observers = watching.watchers(state(context), wandb)
    from arxivcli.steps import training  # seconds, spent once it is sure that all is as asked

    quoted = None if encoder is None else json.dumps(encoder, ensure_ascii=False)
    options = {
        "balance": balance,
        "seed": seed,
        "encoder": quoted,
        "task": task,
        "compile": "true" if compiled else None,
    }
    changes = (*(change or ()), *(f"{key}={value}" for key, value in options.items() if value is not None))
    folder = output or Path("models") / model
    report = training.train(data, model, folder, progress, config, changes, restart, device, precision, observers)
    if report is None:  # another process of the same training speaks
        return None
    progress.note(f"{folder} was finished before: nothing to do" if report.was_there else f"saved {folder}")
    figures = report.card.metrics["validation"] | report.card.metrics["calibration"]
    figures["temperature"] = report.card.calibration.temperature
    console.show_table(("figure", "value"), [(k, f"{v:.4f}") for k, v in figures.items()], numbers={"value"})
    return None

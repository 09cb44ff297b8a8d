"""Heavy things sleep: what a light command must not import, and what `--help` may cost."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "sklearn",
    "scipy",
    "pandas",
    "pyarrow",
    "numpy",
    "wandb",
    "nvitop",
    "fastapi",
    "uvicorn",
    "uvloop",
    "prometheus_client",
    "safetensors",
    "orjson",
    "matplotlib",
    "jinja2",
}
UNAVOIDABLE = "import typer, numpy, pyarrow.compute"
ASK = """
import sys
from arxivcli.cli.app import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    """Top-level packages loaded when the command ends."""
    done = subprocess.run([sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["drift", "--help"],
        ["serve", "--help"],
        ["models", "--help"],
        ["models", "labels", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not imported(*arguments) & HEAVY


def test_the_taxonomy_needs_no_model() -> None:
    assert not imported("models", "labels", "--json") & {"torch", "transformers", "sklearn", "scipy", "pandas", "wandb"}


def test_the_list_of_presets_needs_no_framework() -> None:
    heavy = {"torch", "transformers", "sentence_transformers", "accelerate", "peft", "sklearn", "pandas"}
    assert not imported("train", "--list") & heavy


def cpu_seconds(*arguments: str) -> float:
    """user + sys of a command, byte-compiled, on a machine that imports typer, numpy and pyarrow in 0.2 seconds.

    The best of five, each against such imports right after it: others' load makes CPU time longer, never shorter.
    """
    program = str(Path(sys.executable).with_name("arxivcli"))
    cost(program, *arguments)  # writes the .pyc files
    return min(cost(program, *arguments) / max(1, cost(sys.executable, "-c", UNAVOIDABLE) / 0.2) for _ in range(5))


def cost(*command: str) -> float:
    """CPU seconds of a command."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_at_most_0_3_s_of_cpu() -> None:
    assert cpu_seconds("--help") <= 0.30

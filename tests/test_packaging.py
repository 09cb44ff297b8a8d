"""What is shipped and how: the wheel, the image, the lock, the checks, without a network."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import arxivcli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def tracked() -> list[str]:
    """The files of the repository, or of the folder where there is no git."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, rest in lines]


def test_the_version_is_said_once() -> None:
    assert PROJECT["project"]["version"] == arxivcli.__version__
    assert f"arxivcli {arxivcli.__version__}" in (ROOT / "README.md").read_text("utf-8")


def test_the_lock_is_that_of_the_project() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    [ours] = [package for package in lock["package"] if package["name"] == "arxivcli"]

    def written(requirements: list[dict[str, Any]]) -> set[str]:
        extras = {entry["name"]: f"[{','.join(entry['extras'])}]" for entry in requirements if "extras" in entry}
        return {entry["name"] + extras.get(entry["name"], "") + entry.get("specifier", "") for entry in requirements}

    more = PROJECT["project"]["optional-dependencies"].values()
    asked = {*PROJECT["project"]["dependencies"], *(name for extra in more for name in extra)}
    assert written(ours["metadata"]["requires-dist"]) == asked
    groups = ours["metadata"]["requires-dev"]
    assert {name: written(entries) for name, entries in groups.items()} == {
        name: set(entries) for name, entries in PROJECT["dependency-groups"].items()
    }


def test_published_dependencies_resolve_anywhere() -> None:
    """Wide ranges, no index, no address: pip, pipx and uv all have to like them."""
    assert all(
        re.fullmatch(r"[a-z][a-z0-9-]*(\[[a-z,]+\])?>=[\d.]+", name) for name in PROJECT["project"]["dependencies"]
    )
    assert not {"index", "sources", "find-links"} & set(PROJECT["tool"]["uv"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[zipfile.ZipInfo]:
    """What is inside the wheel; uv has the build backend within itself, so this needs no network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "arxivcli", source / "arxivcli", ignore=shutil.ignore_patterns("__pycache__"))
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "the tests are run with uv: pip install uv"
    subprocess.run([uv, "build", "--offline", "--wheel", "--out-dir", "dist"], cwd=source, check=True, timeout=120)
    [built] = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.infolist()


def test_the_wheel_holds_what_the_program_reads_and_nothing_else(wheel: list[zipfile.ZipInfo]) -> None:
    names = {entry.filename for entry in wheel if not entry.is_dir()}
    data = {str(path.relative_to(ROOT)) for path in (ROOT / "arxivcli").rglob("*") if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == {n for n in data if "__pycache__" not in n}
    assert {"arxivcli/py.typed", "arxivcli/taxonomy.json"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_is_small(wheel: list[zipfile.ZipInfo]) -> None:
    assert sum(entry.compress_size for entry in wheel) < 21_000_000


def test_dockerfile() -> None:
    steps = dockerfile()
    words = [word for word, _ in steps]
    final = steps[len(words) - 1 - words[::-1].index("FROM") :]
    assert ("ENTRYPOINT", '["arxivcli"]') in final
    [user] = [rest for word, rest in final if word == "USER"]
    assert user not in {"root", "0"}
    assert ("ARG", "TORCH_BACKEND=cpu") in steps
    assert any("UV_COMPILE_BYTECODE=1" in rest for word, rest in steps if word == "ENV")


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    copied = [shlex.split(rest) for word, rest in dockerfile() if word == "COPY"]
    sources = [name for words in copied if not words[0].startswith("--from") for name in words[:-1]]
    let_in = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert {name.removeprefix("./") for name in sources} == let_in
    assert all((ROOT / name).exists() for name in sources)


def test_the_checks_of_ci_and_of_a_commit_are_the_same() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)
    before_commit = (ROOT / ".pre-commit-config.yaml").read_text()
    for check in ("ruff check", "ruff format", "mypy", "lint-imports"):
        assert check in ci
        assert f"entry: uv run {check}" in before_commit
    assert ci.rstrip().endswith("pytest"), "pytest's summary has to be the last thing printed"


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    home = re.compile(
        r"(?<![\w.-])/(work|root|home|opt/wheels|tmp/venv)/|https?://[^ ]*(pypi|pytorch|pythonhosted)\.org"
    )
    texts = {".py", ".md", ".toml", ".yaml", ".json", ".jsonl", ".csv", ".txt", ""}
    told = [
        name
        for name in tracked()
        if Path(name).suffix in texts and name != "uv.lock" and home.search((ROOT / name).read_text("utf-8"))
    ]
    assert told == []


def test_no_pickle_is_shipped() -> None:
    assert not [
        name for name in tracked() if Path(name).suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".bin"}
    ]

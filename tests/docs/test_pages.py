"""The pages say what the program does: generated parts are current, links lead somewhere, examples are read and run."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from generate import PAGES, README, ROOT, generated
from pages import Block, blocks, command_lines, pages

from hydrocli.cli import app
from hydrocli.config import load, load_campaign

ALL = pages()
YAML = [block for page in ALL for block in blocks(page) if block.language == "yaml" and block.is_run]
RUN = {page: [b for b in blocks(page) if b.language in ("sh", "python") and b.is_run] for page in ALL}
TUTORIAL = PAGES / "tutorial.md"
LANGUAGES = {"sh", "python", "yaml", "csv", "text", "snakemake", "crontab"}


@pytest.fixture(params=ALL, ids=[page.stem for page in ALL])
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generated(text) == text, "run `make docs`"


def test_links_lead_to_pages_and_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, str(block)


def test_the_readme_is_short_and_names_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 7168
    for path in PAGES.glob("*.md"):
        assert f"hydrocli/docs/{path.name}" in text, path.name


def sentences(page: Path) -> Iterator[str]:
    """Sentences of the text of a page: no code, no tables, no headings, nothing generated."""
    text = re.sub(r"```.*?```|<!-- generated.*?<!-- end -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^(\||#|    (?! *\*)).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`|\([^)]*\)", "x", text)
    for part in re.split(r"\n\s*\n|^\s*(?:\*|\d\.) ", text, flags=re.MULTILINE):
        yield from re.split(r"(?<=[.:;!?])\**\s+", " ".join(part.split()))


def test_sentences_are_short(page: Path) -> None:
    long = [sentence for sentence in sentences(page) if len(sentence.split()) > 26]
    assert not [sentence for sentence in long if "(20" not in sentence and "Huynh, " not in sentence]


def test_commands_and_options_exist(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    for line in command_lines(page):
        words = [word.strip("'\"[]().,:") for word in line.split()[1:]]
        if words[0].startswith("-") or not re.fullmatch(r"[a-z-]+", words[0]):
            continue
        assert words[0] in group.commands, line
        options = {"--help", "-h"} | {name for part in group.commands[words[0]].params for name in part.opts}
        for word in words[1:]:
            if re.fullmatch(r"--?[a-z][\w-]*", word.partition("=")[0]):
                assert word.partition("=")[0] in options, line


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_is_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "configs" / "example.yaml"
    (tmp_path / "configs").mkdir()
    sample = (ROOT / "configs" / "sample.yaml").read_text(encoding="utf-8")
    (tmp_path / "configs" / "config.yaml").write_text(sample, encoding="utf-8")
    (tmp_path / "configs" / "lez.yaml").write_text(sample.replace("name: sample", "name: lez"), encoding="utf-8")
    values = yaml.safe_load(block.text)
    if "campaign" in block.info:
        file.write_text(block.text, encoding="utf-8")
        assert load_campaign(file).campaign.models
        return
    file.write_text(yaml.safe_dump(yaml.safe_load(sample) | values), encoding="utf-8")
    load(file)


@pytest.fixture(scope="session")
def workspace(once: Callable[..., Path]) -> Path:
    """A folder with the configurations and data of the repository, in which the tutorial was run."""

    def fill(folder: Path) -> None:
        (folder / "configs").mkdir()
        for file in (ROOT / "configs").glob("*.yaml"):
            (folder / "configs" / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "data-samples").symlink_to(ROOT / "data-samples")
        (folder / "bin").mkdir()
        command = folder / "bin" / "hydrocli"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hydrocli "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        run(folder, TUTORIAL)

    return once("workspace", fill)


def run(folder: Path, page: Path) -> None:
    """Run the blocks of a page in their order."""
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "agg",
    }
    for block in RUN[page]:
        command = (
            ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-W", "error", "-c"]
        )
        done = subprocess.run(
            [*command, block.text], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{block.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture
def alone_in_workspace(workspace: Path) -> Iterator[Path]:
    """The workspace while no other test is in it."""
    with (workspace / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield workspace


@pytest.mark.slow
def test_the_tutorial_leaves_a_report_and_a_hybrid_that_wins(workspace: Path) -> None:
    import hydrocli.results

    assert (workspace / "runs" / "sample" / "report.html").stat().st_size > 100_000
    scores = [
        hydrocli.results.read(workspace / "runs" / name)
        .scores.query("metric == 'nse'")
        .groupby("scenario")["value"]
        .mean()
        for name in ("sample-infiltration", "sample-grnn")
    ]
    assert len(scores[0]) == 4
    assert (scores[1] > scores[0]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in ALL if RUN[page] and page != TUTORIAL], ids=lambda page: page.stem, indirect=True
)
def test_examples_run(page: Path, alone_in_workspace: Path) -> None:
    run(alone_in_workspace, page)

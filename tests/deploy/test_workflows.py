"""The workflows for GitHub call what the repository has, and may do no more than their jobs need.

They cannot run here; this is what can be checked without GitHub.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.chart import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(path.name for path in FOLDER.glob("*.yml"))
WRITERS = {("release.yml", "publish"), ("release.yml", "plugin"), ("image.yml", "push")}
"""The jobs that publish something."""


def read(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return found


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in WORKFLOWS:
        for job, content in read(name)["jobs"].items():
            yield name, job, content


def test_there_are_workflows_for_tests_image_and_release() -> None:
    assert WORKFLOWS == ["image.yml", "release.yml", "tests.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_says_that_it_was_not_run_yet(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8").startswith("# Not run yet")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(name: str) -> None:
    assert read(name)["permissions"] == {"contents": "read"}


def test_only_the_jobs_that_publish_may_write_and_they_run_no_code_of_the_repository() -> None:
    writers = {(name, job) for name, job, content in jobs() if "write" in content.get("permissions", {}).values()}
    assert writers == WRITERS
    for name, job, content in jobs():
        if (name, job) in WRITERS:
            uses = [step.get("uses", "") for step in content["steps"]]
            assert not any(action.startswith("actions/checkout") for action in uses)


def test_every_job_has_a_time_limit_and_every_action_a_version() -> None:
    for name, job, content in jobs():
        assert content["timeout-minutes"] <= 60, (name, job)
        for action in (step["uses"] for step in content["steps"] if "uses" in step):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", action), action


def test_the_make_targets_and_scripts_that_the_workflows_call_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {line for _, _, job in jobs() for step in job["steps"] for line in step.get("run", "").splitlines()}
    made = {line.split()[1] for line in called if line.startswith("make ")} - {".venv/.installed"}
    assert made >= {"dist", "krew", "image-test", "chart-test"}
    assert made - targets == set()
    for script in (line.split()[0] for line in called if line.startswith(".ci/")):
        assert (ROOT / script).is_file(), script


def test_no_expression_is_pasted_into_a_shell_command() -> None:
    scripts = [step["run"] for _, _, job in jobs() for step in job["steps"] if "run" in step]
    assert scripts
    assert [script for script in scripts if "${{" in script] == []

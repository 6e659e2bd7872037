"""What shells and `man` are told of the command line is taken by them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from server import podium

COMMANDS = ("serve", "rank", "users", "models", "replay", "telemetry", "top", "check", "config", "tune", "bench")


def test_bash_completes_commands_and_flags(tmp_path: Path) -> None:
    script = tmp_path / "podium.bash"
    script.write_text(podium("completion", "bash").stdout, encoding="utf-8")

    def completed(*words: str) -> list[str]:
        """Returns what bash offers for the last of these words."""
        line = " ".join(f"'{word}'" for word in words)
        asked = (
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            f"_podium podium '{words[-1]}' '{words[-2]}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        said = subprocess.run(["bash", "-c", asked], text=True, capture_output=True, check=True)
        return said.stdout.split()

    assert set(COMMANDS) <= set(completed("podium", ""))
    assert completed("podium", "mod") == ["models"]
    assert "rollback" in completed("podium", "models", "")
    assert completed("podium", "serve", "--admin-l") == ["--admin-listen"]


@pytest.mark.parametrize("shell", ["zsh", "fish", "elvish", "powershell"])
def test_other_shells_have_a_completion(shell: str) -> None:
    said = podium("completion", shell)
    assert said.returncode == 0
    assert "rollback" in said.stdout


def test_a_page_for_each_command_is_written(tmp_path: Path) -> None:
    said = podium("man", "--out", tmp_path / "man1")
    assert said.returncode == 0, said.stderr
    pages = {page.name for page in (tmp_path / "man1").iterdir()}
    assert {"podium.1", "podium-models-rollback.1"} | {f"podium-{name}.1" for name in COMMANDS} <= pages
    page = podium("man").stdout
    assert "Exit status: 0" in page
    if formatter := shutil.which("groff"):
        read = subprocess.run(
            [formatter, "-man", "-Tascii", "-ww"], input=page, text=True, capture_output=True, check=True
        )
        assert "PODIUM" in read.stdout.upper()
        assert not read.stderr


def test_what_is_wrong_is_told_with_the_status_that_is_documented(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("", encoding="utf-8")
    failed = podium("man", "--out", taken)
    assert failed.returncode == 1
    assert "--out" in failed.stderr
    wrong = podium("completion", "tcsh")
    assert wrong.returncode == 2
    assert "bash" in wrong.stderr

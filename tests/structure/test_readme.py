"""What the README tells a reader to type works."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)


def _commands() -> list[str]:
    lines = [line for language, block in BLOCKS if language == "bash" for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip() and not line.startswith("#")]


def test_the_python_examples_run(tmp_path, monkeypatch):
    examples = [block for language, block in BLOCKS if language == "python"]
    assert examples
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(examples), "README.md", "exec"), {"__name__": "readme"})


def test_every_make_target_exists():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    wanted = [word for command in _commands() if command.startswith("make") for word in shlex.split(command)[1:]]
    assert wanted
    assert [target for target in wanted if target not in targets and "=" not in target] == []


def test_every_command_and_its_options_exist():
    from muon_theory.cli.application import app

    for command in (shlex.split(c) for c in _commands() if "muon-theory" in c.split()[0]):
        shown = CliRunner().invoke(app, [command[1], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert shown.exit_code == 0, command
        for option in (word for word in command if word.startswith("--")):
            assert option in shown.output, command


def test_every_linked_file_exists():
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", README) + re.findall(r'src="(?!https?://)([^"]+)"', README)
    assert [link for link in links if not (ROOT / link).exists()] == []

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import muon_theory
from muon_theory.cli import main
from muon_theory.cli.screen import cache_folder

FIGURES = Path(__file__).parents[2] / "figures"
COMMANDS = ("list", "run", "check", "train", "spectra", "plan", "report", "fetch")


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUON_THEORY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MUON_THEORY_DEBUG", raising=False)


def _one_line(capsys) -> str:
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("muon-theory: ")
    return line


@pytest.mark.parametrize("words", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_says_what_a_command_takes_within_eighty_columns(words, capsys):
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Usage: muon-theory")
    assert "Source:" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_help_imports_neither_torch_nor_anything_that_draws():
    code = "import sys\nfrom muon_theory.cli import main\nmain(['--help'])\nsys.stderr.write(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert {"torch", "matplotlib", "pandas", "sympy", "sklearn", "joblib"} & set(loaded) == set()


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"muon-theory {muon_theory.__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["chek"], "Did you mean 'check'?"),
        (["check", "--nope"], "No such option: --nope"),
        (["check", "nowhere"], "no room called 'nowhere'; the rooms are critical_batch, dion, "),
        (["check", "--tier", "quick"], "--tier quick: the tiers are fast, medium, slow, run"),
        (["check", "--id", "NS-012"], "--id NS-012: no such claim; did you mean NS-"),
        (["check", "--json", "--markdown"], "give --json or --markdown, not both"),
        (["run"], "name a study, or give --all"),
        (["run", "polar/q_and_degre"], "no study called 'polar/q_and_degre'; did you mean polar/q_and_degree?"),
        (["run", "_template", "--set", "largest"], "--set largest: give it as KEY=VALUE"),
        (["run", "_template", "--set", "smallest=1"], "_template has no option 'smallest'; its options: largest=256"),
        (["run", "_template", "--dataset", "mnist"], "_template has no option 'dataset'"),
        (["run", "_template", "--data", "nowhere"], "--data nowhere: no such folder; `muon-theory fetch mnist"),
        (["run", "_template", "--workers", "0"], "Invalid value for '--workers'"),
        (["run", "_template", "--out", "file"], "cannot write to file/_template"),
        (["train"], "Missing argument"),
        (["train", "imagenet"], "name is 'imagenet'; known image sets: digits, mnist"),
        (["train", "digits", "--optimizer", "adam"], "--optimizer adam: choose one of sgd, adamw, muon"),
        (["train", "digits", "--method", "taylor_4"], "degree must be odd"),
        (["spectra", "nowhere"], "there is no folder nowhere"),
        (["fetch", "imagenet"], "fetch imagenet: can fetch mnist"),
    ],
)
def test_bad_usage_is_told_in_one_line_with_status_two(words, told, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(words) == 2
    assert told in _one_line(capsys)


def test_a_missing_data_set_and_an_unwritable_cache_say_what_to_do(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MUON_THEORY_DATA", str(tmp_path))
    study = "newton_schulz_convergence/recorded_gradients"
    assert main(["run", study]) == 2
    assert "no data set 'mnist' in" in (line := _one_line(capsys))
    assert "`muon-theory fetch mnist`" in line
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MUON_THEORY_CACHE", str(tmp_path / "file"))
    for words in (["run", "_template", "--quick"], ["check", "--id", "NS-01"]):
        assert main(words) == 2
        assert "name another folder in MUON_THEORY_CACHE, or give --no-cache" in _one_line(capsys)


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="no study called"):
        main(["--debug", "run", "no/such/study"])
    os.environ.pop("MUON_THEORY_DEBUG", None)


def test_list_shows_studies_with_their_questions_and_rooms(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "polar/q_and_degree" in shown
    assert "newton_schulz_convergence" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["studies"]["polar/q_and_degree"].endswith("?")


def test_a_study_runs_and_is_cached_and_a_failed_cell_gives_status_one(capsys, tmp_path):
    words = ["run", "_template", "--quick", "--workers", "1", "--set", "largest=4"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "_template: 3 rows from 3 cells" in printed.out
    assert "_template: 3/3 cells" in printed.err
    folder = tmp_path / "figures/_template/quick/largest=4"
    names = {"table.csv", "run.json", "figure.pdf", "figure.png", "claims.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert json.loads((folder / "claims.json").read_text())["claims"][0]["verdict"] == "holds"
    assert main(words) == 0
    assert "3 of them from the cache" in capsys.readouterr().out
    assert main([*words, "--no-cache"]) == 0
    assert "from the cache" not in capsys.readouterr().out
    assert main(["run", "_template", "--quick", "--workers", "1", "--seed", "-1"]) == 1
    assert "9 cells failed: ValueError" in capsys.readouterr().err


def test_check_prints_a_table_counts_and_valid_json(capsys):
    words = ["check", "newton_schulz_convergence", "--id", "NS-01", "--id", "NS-02", "--workers", "1"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "statement", "measured", "predicted", "verdict", "mut.", "s"]
    assert lines[-1] == "2 claims: 2 hold; all as expected; 2 flipped by every mutation"
    assert max(map(len, lines)) <= 80
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["claims"]
    assert [row["id"] for row in rows] == ["NS-01", "NS-02"]
    assert all(row["verdict"] == row["expected"] and row["mutation_verdict"] == "flips" for row in rows)
    assert main([*words, "--markdown"]) == 0
    assert "| NS-01 |" in capsys.readouterr().out


def test_the_claims_of_studies_are_read_from_their_results_and_stale_after_a_change(capsys, tmp_path):
    import muon_theory.reporting.stored_claims as module
    from muon_theory.reporting.study import chosen_studies

    assert main(["run", "_template", "--workers", "1"]) == 0
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "find_studies", lambda: {"_template": chosen_studies(["_template"])[0]})
        assert main(["check", "--tier", "run"]) == 0
        assert "1 claim: 1 hold; all as expected" in capsys.readouterr().out
        patch.setattr(module, "code_hash", lambda _: "another")
        assert main(["check", "--tier", "run"]) == 1
        shown = capsys.readouterr().out
    assert "✗ stale" in shown
    assert "1 claim: 1 stale; 1 NOT as expected" in shown


def test_check_shows_the_claims_of_a_folder_of_studies_of_a_study_and_by_name(capsys):
    for words, seen in (
        (["fanions", "--tier", "run"], ("WK-SMALL", "MC-LOW")), (["fanions/which_k", "--tier", "run"], ("WK-SMALL",)),
        (["training", "--tier", "run"], ("TC-RARE-MNIST",)), (["--id", "WK-SMALL"], ("WK-SMALL",)),
    ):  # fmt: skip
        main(["check", *words, "--json", "--figures", str(FIGURES)])
        rows = json.loads(capsys.readouterr().out)["claims"]
        found = {row["id"] for row in rows}
        assert found >= set(seen), words
        assert {row["tier"] for row in rows} == {"run"}
        assert words[0].startswith("--") or all(row["room"].startswith(words[0]) for row in rows)
    assert found == {"WK-SMALL"}
    assert main(["check", "dion", "--id", "WK-SMALL", "--figures", str(FIGURES)]) == 2
    assert main(["check", "nowhere", "--tier", "run"]) == 2


def test_a_claim_that_is_not_as_expected_gives_status_one_and_its_details(capsys, monkeypatch):
    from muon_theory import rooms
    from muon_theory.claim import Claim, Finding, Mutation

    claim = Claim(
        id="X-1", statement="one is two", source="elementary", relation="==", method="exact rational",
        evaluate=lambda value=1: Finding(2, value), mutations=(Mutation("two", {"value": 2}),), expected="holds",
        attribution="ours", tag="arithmetic",
    )  # fmt: skip
    monkeypatch.setattr(rooms, "load_rooms", lambda _: {"arithmetic": [claim]})
    assert main(["check", "--workers", "1", "--no-cache"]) == 1
    shown = capsys.readouterr().out
    assert "✗ refuted" in shown
    assert "expected holds, found refuted" in shown
    assert "1 claim: 1 refuted; 1 NOT as expected" in shown


def test_training_records_spectra_that_can_be_shown(capsys, tmp_path):
    words = ["train", "digits", "--optimizer", "muon", "--steps", "12", "--record", "runs/a", "--out", "steps.csv"]
    assert main(words) == 0
    assert "muon on digits: 12 steps, loss 2.3" in capsys.readouterr().out
    assert len((tmp_path / "steps.csv").read_text().splitlines()) == 13
    assert main(["spectra", "runs/a"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 80
    assert main(["spectra", "runs/a", "--json", "--kind", "gradient", "--step", "0"]) == 0
    rows = json.loads(capsys.readouterr().out)["spectra"]
    assert {row["kind"] for row in rows} == {"gradient"}
    assert all(1 <= row["stable_rank"] <= min(row["rows"], row["columns"]) for row in rows)
    assert main(["spectra", "runs/a", "--kind", "nothing"]) == 2
    assert "--kind nothing: recorded are gradient" in _one_line(capsys)
    assert main(["spectra", "runs/a", "--step", "7000"]) == 2
    assert "--step 7000: recorded are 0, 1, 2, 3" in _one_line(capsys)


def test_a_diverged_run_gives_status_one(capsys):
    assert main(["train", "digits", "--optimizer", "sgd", "--lr", "1e30", "--steps", "20"]) == 1
    assert "diverged at step" in capsys.readouterr().err


def test_an_interrupted_command_says_that_nothing_is_lost(capsys, monkeypatch):
    from muon_theory.reporting import study

    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "find_studies", interrupted)
    assert main(["list"]) == 130
    assert "interrupted; what was finished is kept" in _one_line(capsys)


def test_a_closed_pipe_ends_the_output_quietly():
    command = [sys.executable, "-c", "from muon_theory.cli import main; raise SystemExit(main(['list']))"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_the_cache_is_where_the_variable_says(monkeypatch):
    monkeypatch.setenv("MUON_THEORY_CACHE", "~/somewhere")
    assert cache_folder().name == "somewhere"
    assert cache_folder().is_absolute()
    monkeypatch.delenv("MUON_THEORY_CACHE")
    assert "muon_theory" in str(cache_folder())

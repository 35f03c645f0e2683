import io
import re

from rich.console import Console

from muon_theory.reporting import progress as module
from muon_theory.reporting.progress import progress


def _shown(*, terminal: bool, total: int = 3, seconds: float = 0.0, environment=None, **options) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80, _environ=environment or {})
    with progress(total, "study", unit="cells", console=console, **options) as bar:
        for _ in range(total - options.get("done", 0)):
            bar.advance(note="loss 0.5")
    return stream.getvalue()


def test_off_a_terminal_there_are_plain_lines():
    assert _shown(terminal=False) == "study: 3/3 cells, 0 s loss 0.5\n"


def test_off_a_terminal_a_line_comes_only_now_and_then(monkeypatch):
    assert len(_shown(terminal=False, total=500).splitlines()) == 1
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    assert len(_shown(terminal=False, total=5).splitlines()) == 5


def test_on_a_terminal_there_is_a_bar_of_one_line_without_colour_when_asked():
    drawn = _shown(terminal=True, environment={"NO_COLOR": "1"})
    assert "3/3" in drawn
    assert "loss 0.5" in drawn
    assert re.search(r"\x1b\[3\dm", drawn) is None
    assert all(len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)) <= 80 for line in re.split(r"[\r\n]", drawn))


def test_nothing_is_shown_when_all_is_done_or_nobody_looks():
    assert _shown(terminal=False, done=3) == ""
    assert _shown(terminal=True, shown=False) == ""

"""Studies, one file one question: found through the entry points `muon_theory.studies`, without importing them."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ENTRY_POINTS = "muon_theory.studies"


@dataclass(frozen=True)
class Study:
    """A study: one file that answers one question.

    Args:
        name: e.g. `polar/q_and_degree`.
        module: importable name, e.g. `studies.polar.q_and_degree`.
        path: its source file.

    Source: elementary.
    """

    name: str
    module: str
    path: Path

    def section(self, title: str) -> str:
        """A section of the study's docstring, without importing it.

        Args:
            title: `Question`, `Claim`, `Source` or `Cost`.

        Returns:
            Its text in one line, empty when the docstring lacks it.

        Source: elementary.
        """
        text = ast.get_docstring(ast.parse(self.path.read_text(encoding="utf-8"))) or ""
        found = re.search(rf"^{title}:(.*?)(?=^(?:Question|Claim|Source|Cost):|\Z)", text, re.MULTILINE | re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    def load(self) -> ModuleType:
        """Import the study.

        Returns:
            Its module, which offers `compute` and `figure`.

        Source: elementary.
        """
        return importlib.import_module(self.module)


def find_studies(*, private: bool = False) -> dict[str, Study]:
    """All installed studies, without importing them.

    Args:
        private: also the template, whose name starts with one underscore. Inside a folder such a file is no study but
            what the studies beside it share.

    Returns:
        Name to study, in alphabetical order.

    Source: elementary.
    """
    found: dict[str, Study] = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(entry.value)
        for root in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(root).rglob("*.py")):
                inside = path.relative_to(root).with_suffix("")
                template = private and len(inside.parts) == 1 and not inside.name.startswith("__")
                if template or not any(part.startswith("_") for part in inside.parts):
                    name = inside.as_posix()
                    found[name] = Study(name, ".".join([entry.value, *inside.parts]), path)
    return dict(sorted(found.items()))


def chosen_studies(names: list[str]) -> list[Study]:
    """The studies of these names; the name of a folder means all studies in it.

    Args:
        names: e.g. `polar/q_and_degree` or `polar`.

    Returns:
        The studies, each once, in the order asked for.

    Raises:
        ValueError: no study of that name; the message suggests the nearest.

    Source: elementary.
    """
    known, private = find_studies(), find_studies(private=True)
    chosen: dict[str, Study] = {}
    for given in names:
        name = given.removesuffix(".py").removeprefix("./").removeprefix("studies/").strip("/")
        matching = [study for key, study in known.items() if key == name or key.startswith(f"{name}/")]
        if not matching and name in private:
            matching = [private[name]]
        if not matching:
            short = {key.rpartition("/")[2]: key for key in known}
            near = difflib.get_close_matches(name, [*known, *short], n=1, cutoff=0.5)
            hint = f"did you mean {short.get(near[0], near[0])}?" if near else "`muon-theory list` shows all"
            raise ValueError(f"no study called {given!r}; {hint}")
        chosen.update({study.name: study for study in matching})
    return list(chosen.values())

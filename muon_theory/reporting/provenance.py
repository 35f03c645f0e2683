"""Where a result comes from: device, threads, versions, seed, profile, parameters, and the hash of the code."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import muon_theory
from muon_theory.reporting.atomic import write_text
from muon_theory.reporting.fingerprint import versions
from muon_theory.reporting.source_hash import function_hash, package_hash

FORMAT_VERSION = 1


def device() -> dict[str, Any]:
    """The machine a run takes place on: processor, its cores, system.

    Returns:
        `processor`, `cores` (usable by this process), `memory_gb`, `system`.

    Source: elementary.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def code_hash(module: ModuleType) -> str:
    """Hash of the code a study's table and verdicts depend on: what `compute` and `claims` reach, but not `figure`.

    Args:
        module: the study.

    Returns:
        16 hexadecimal digits.

    Source: elementary.
    """
    functions = [module.compute, *([module.claims] if hasattr(module, "claims") else [])]
    return function_hash(*functions)[:16]


def run_record(study: str, module: ModuleType, **details: Any) -> dict[str, Any]:
    """The provenance of one run, as stored in `run.json`.

    Args:
        study: name of the study.
        module: its module.
        **details: what else is to be kept: profile, seed, parameters, counts of cells, seconds.

    Returns:
        A dict of JSON values, with `format_version`.

    Source: elementary.
    """
    return {
        "format_version": FORMAT_VERSION,
        "study": study,
        "code": code_hash(module),
        "package": package_hash()[:16],
        "versions": {"muon_theory": muon_theory.__version__} | versions(),
        "device": device() | {"threads_per_cell": 1},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **details,
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically, indented, keys in the order given.

    Args:
        path: the file; its folder is made if missing.
        content: JSON values.

    Source: elementary.
    """
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _processor() -> str:
    """The processor's name as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

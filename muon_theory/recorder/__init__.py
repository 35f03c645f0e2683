"""The spectrum recorder: exact singular values of what an optimizer works on, from real training."""

from muon_theory.recorder.alignment import alignment_deficits, plan_recording, recognize_updates
from muon_theory.recorder.analysis import summarize_spectra
from muon_theory.recorder.evolution import subspace_drift
from muon_theory.recorder.kinds import KINDS, STEP_KINDS
from muon_theory.recorder.reader import read_matrices, read_spectra
from muon_theory.recorder.recorder import SpectrumRecorder
from muon_theory.recorder.schedule import Schedule, at, every, first, last, log_spaced
from muon_theory.recorder.sinks import Sink, TensorBoardSink, TrackioSink, WandbSink

__all__ = [
    "KINDS",
    "STEP_KINDS",
    "Schedule",
    "Sink",
    "SpectrumRecorder",
    "TensorBoardSink",
    "TrackioSink",
    "WandbSink",
    "alignment_deficits",
    "at",
    "every",
    "first",
    "last",
    "log_spaced",
    "plan_recording",
    "read_matrices",
    "read_spectra",
    "recognize_updates",
    "subspace_drift",
    "summarize_spectra",
]

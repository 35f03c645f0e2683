"""The command line `muon-theory`; each command imports what it needs only when it runs."""

from muon_theory.cli.application import main

__all__ = ["main"]

"""The rows on Theorems A and B and their neighbours are all stated, and listing them loads no solver."""

import subprocess
import sys

from muon_theory.rooms.newton_schulz_convergence.claims import claims

_ROWS = """
THA-01 THA-02 THA-03 THA-04 THA-05 THA-06 THA-07 THA-08 THA-ETA THA-K3 THA-EHAT THA-GAIN THA-T1 THA-T2 THA-T3 THA-T4
THA-T5 THA-INIT THA-UNI1 THA-UNI2 THA-SHU1 THA-SHU2 THB-01 THB-02 THB-03 THB-04 THB-05 KV-01 KV-02 KV-03 KV-04 LH-01
LH-02
"""
_MORE = """
THA-TR THA-JENSEN THA-BLOCK THA-L0L1 THA-L0L1-A THA-LDELTA THA-LP THA-LP-EXACT THA-LP-SHARP THA-QTP THA-T4-B THB-LP
TYZ-01 TYZ-02 TYZ-02-OWN ROWNORM-01 ROWNORM-ALIGN PE-SLIP PE-REMEZ
"""
INVENTORY, ADDED = _ROWS.split(), _MORE.split()
TABLE = [f"BEST-{i:02d}" for i in range(1, 20)]


def test_every_row_is_stated_once():
    stated = [claim.id for claim in claims()]
    assert sorted(set(INVENTORY + ADDED + TABLE) - set(stated)) == []
    assert len(stated) == len(set(stated))


def test_the_refuted_rows_are_the_known_ones():
    rows = set(INVENTORY + ADDED + TABLE)
    refuted = {claim.id for claim in claims() if claim.id in rows and claim.expected == "refuted"}
    assert refuted == {"LH-01", "PE-SLIP", "PE-REMEZ"}


def test_every_line_of_the_table_has_a_printed_number():
    assert all(claim.printed is not None for claim in claims() if claim.id in TABLE)


def test_listing_the_claims_loads_no_solver():
    code = (
        "import sys\nfrom muon_theory.rooms.newton_schulz_convergence.claims import claims\nclaims()\n"
        "assert not {'scipy.optimize', 'cvxpy', 'PEPit'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

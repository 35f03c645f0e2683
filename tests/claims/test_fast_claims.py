import pickle
from functools import cache

import pytest

from muon_theory.claim import Claim
from muon_theory.rooms import all_claims, load_rooms, room_names

ROWS = {
    "newton_schulz_convergence": """
        NS-01 NS-02 NS-03 NS-04 NS-05 NS-06 NS-07 NS-08 NS-09 NS-10 NS-11 NS-12 NS-13 NS-14 NS-15 NS-16 NS-17 NS-18
        NS-19 NS-20 NS-21 NS-22-K1 NS-22-K2 NS-22-K3 NS-23
        KO-P1 KO-P2 KO-L1 KO-L2 KO-T2a KO-T2b KO-T2c JQ-01 JQ-02 JQ-03 JQ-04 JQ-05 JQ-06 JQ-07
        FED-01 FED-02 FED-03 PE-01 PE-02 PE-03 PE-04 PE-05
        KO-K1 KO-K1-T KO-K2 KO-K2-T KO-K3 KO-K4 KO-K5 KO-K5-0 KO-T1 KO-T1-T KO-T1-OPT KO-T1-CX KO-K3-SR
        KO-G0 KO-G1 KO-RANK KO-GD KO-GAP-A1 KO-GAP-A2 KO-GAP-B KO-GAP-C1 KO-GAP-C2 KO-T3-A KO-T3-B KO-COST
    """,
    "fanions": """
        KF-01 KF-02 KF-03 KF-04 KF-05 KF-06 KF-07 KF-08 KF-09 KF-10 KF-11 KF-12 KF-13 KF-14 KF-15 KF-16 KF-17 KF-18
        CC-01 CC-02 CC-03 FF-01 FF-02 FF-03 FF-04 FF-05 FF-06 FF-07 FF-08 SF-01 SF-02 SF-04 OS-01 OS-02 OS-03
        TK-01 TK-02 TK-03 TK-04 FN-01 FN-02 FN-03 MO-01 MO-02 MO-03 LS-01 LS-02 LS-03 LS-04 LS-05 LS-06 LS-07
        PB-01 PB-02
    """,
    "dion": "DN-01 DN-02 DN-03 DN-04 DN-05 DN-06 DN-07 DN-08 DN-09 DN-10 DN-11 DN-12 DN-13 DN-14 DN-17",
    "scale": " ".join(f"SC-{number:02d}" for number in range(1, 17)),
    "muon_all": " ".join(f"MA-{number:02d}" for number in range(1, 11)),
    "critical_batch": """
        CB-01 CB-02 CB-03 CB-04 CB-05 CB-06 CB-07 CB-08 CB-09 CB-10 CB-11 CB-12 CB-13 CB-14 CB-15 CB-16 CB-17 CB-18
        CB-19 CB-20 CB-21 CB-22 CB-23 THC-PLAIN THC-NEST THC-WD THC-NWD THC-WD-T THC-WD-R THC-SMALL THC-PHI1 THC-PHI2
        THC-PHI3 THC-B1 THC-B2 THC-B3 THC-B4 THC-B5 THC-IMP THC-TIGHTER
    """,
    "tutorial": """
        TUT-01-MOMENTUM TUT-02 TUT-02-RANK TUT-03 TUT-03-STEPS TUT-04 TUT-04-COST TUT-05-OWN TUT-05-ROLES TUT-11 TUT-12
        TUT-12-SHARE TUT-13 TUT-13-IDLE TUT-13-OPERATOR TUT-14 TUT-19 TUT-19-FLAT TUT-19-NAMES TUT-19-REST
        TUT-19-SUBSTRING TUT-20
    """,
}
INVENTORY = {room: rows.split() for room, rows in ROWS.items()}
COUNTS = {"newton_schulz_convergence": 72, "fanions": 54, "dion": 15, "scale": 16, "muon_all": 10, "critical_batch": 40,
          "tutorial": 22}  # fmt: skip
# sources whose text was read
READ = ("Kim", "Amsel", "arXiv", "Tao, Yu and Zhang 2026", "Zhang and Lin 2026", "Wei 2025", "OLMo")
OPPOSITE = {"holds": "refuted", "refuted": "holds"}


@cache
def _by_id() -> dict[str, Claim]:
    return {claim.id: claim for claim in all_claims()}


FAST = [claim.id for claim in all_claims() if claim.tier == "fast"]


@pytest.mark.parametrize("name", FAST)
def test_a_fast_claim_has_its_expected_verdict_and_every_mutation_flips_it(name):
    claim = _by_id()[name]
    result = claim.check()
    assert result.error is None
    assert result.verdict == claim.expected
    assert len(result.mutation_verdicts) == len(claim.mutations)
    assert set(result.mutation_verdicts) == {OPPOSITE[claim.expected]}


@pytest.mark.slow
@pytest.mark.parametrize("name", [claim.id for claim in all_claims() if claim.tier in ("medium", "slow")])
def test_a_longer_claim_has_its_expected_verdict_and_every_mutation_flips_it(name):
    claim = _by_id()[name]
    result = claim.check()
    assert result.error is None
    assert claim.as_expected(result), (result.verdict, result.mutation_verdicts)


@pytest.mark.parametrize("room", INVENTORY)
def test_every_row_of_the_inventory_is_a_claim_of_its_room(room):
    assert len(INVENTORY[room]) == len(set(INVENTORY[room])) == COUNTS[room]
    stated = [claim.id for claim in load_rooms([room])[room]]
    assert [name for name in INVENTORY[room] if name not in stated] == []


def test_ids_are_unique_over_all_rooms():
    names = [claim.id for claim in all_claims()]
    assert len(names) == len(set(names))


def test_statements_fit_a_line_of_a_table_and_sources_say_where_to_look():
    for claim in all_claims():
        assert 10 <= len(claim.statement) <= 300, claim.id
        assert len(claim.source) >= 10, claim.id


def test_a_refuted_printed_statement_is_never_one_that_was_only_relayed():
    for claim in all_claims():
        if claim.attribution == "printed":
            assert any(name in claim.source for name in READ), claim.id


def test_claims_travel_to_other_processes():
    for claim in all_claims():
        pickle.dumps(claim)


def test_mutations_are_described_and_change_a_parameter_of_the_evaluation():
    for claim in all_claims():
        for mutation in claim.mutations:
            assert mutation.description.strip(), claim.id
            assert mutation.parameters, claim.id


def test_an_unknown_room_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no room called 'nowhere'; the rooms are .*newton_schulz_convergence"):
        load_rooms(["nowhere"])


def test_rooms_are_loaded_in_the_order_asked_for():
    assert list(load_rooms(reversed(room_names()))) == list(reversed(room_names()))


def test_parameters_are_plain_values_so_that_cached_verdicts_are_found_again():
    for claim in all_claims():
        written = repr([claim.parameters, *(mutation.parameters for mutation in claim.mutations)])
        assert " at 0x" not in written, claim.id

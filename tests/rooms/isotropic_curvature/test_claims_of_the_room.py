from muon_theory.rooms import all_claims

INVENTORY = {f"IC-{i:02d}" for i in range(1, 38)} - {"IC-33"}  # IC-33 is a run: the study measured_curvature
NEW = {f"IC-SPH{i}" for i in range(1, 8)}


def test_every_row_of_the_inventory_is_a_claim():
    assert {claim.id for claim in all_claims(["isotropic_curvature"])} == INVENTORY | NEW


def test_fast_claims_are_as_expected_and_can_fail():
    for claim in all_claims(["isotropic_curvature"]):
        if claim.tier == "fast":
            result = claim.check()
            assert claim.as_expected(result), (claim.id, result)

from muon_theory.rooms import load_rooms

ROWS = [f"MF-{number:02d}" for number in range(1, 35)] + [f"ICL-{number:02d}" for number in range(1, 11)]


def test_every_row_of_the_inventory_is_a_claim_but_the_trained_one():
    stated = [claim.id for claim in load_rooms(["preconditioning"])["preconditioning"]]
    assert sorted(stated) == sorted([*ROWS, "MF-07-FLOAT"])


def test_nothing_is_passed_off_as_the_theorem_of_a_paper_read_as_an_abstract():
    for claim in load_rooms(["preconditioning"])["preconditioning"]:
        assert claim.attribution in ("ours", "implied", "folklore")

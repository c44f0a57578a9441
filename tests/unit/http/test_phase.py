"""Promise: the table of phases names every phase, and every life can end."""

from ocpd.http.phase import ENDING, MOVES, Phase


def test_the_table_names_every_phase():
    assert set(MOVES) == set(Phase)


def test_every_phase_can_lose_its_transport():
    assert all(Phase.CLOSED in moves for phase, moves in MOVES.items() if phase is not Phase.CLOSED)


def test_an_ending_never_becomes_a_beginning():
    assert all(MOVES[phase] <= ENDING for phase in ENDING)

"""Promise: a name is never a role, an id, or something a terminal or URL cannot carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.store.names import RESERVED, check_name, find_fault, fit_name


@pytest.mark.parametrize("name", ["a", "laptop", "my key", "a.b_c-d", "x" * 64, "1a", "2024.1"])
def test_ordinary_names_are_fine(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "1", "007", "a/b", "é", "a\n", "a'b", " a", "a ", " ", "..", "-", *RESERVED],
)
def test_others_are_refused_with_a_reason(name):
    with pytest.raises(BadRequest) as no:
        check_name(name)
    assert no.value.param == "name"
    assert no.value.message.startswith("name ")


def test_reserved_names_are_reserved_in_any_case():
    assert find_fault("Admin") == "'Admin' is reserved"
    # The second of the shared keys is called so: its holder would see the rows of this one.
    assert find_fault("Shared-2") == "'Shared-2' is reserved"
    assert find_fault("shared-laptop") is None
    assert fit_name("shared-2", ()) == "shared-2-2"


@pytest.mark.parametrize(
    ("name", "taken", "fitted"),
    [
        ("laptop", (), "laptop"),
        ("Laptop", ("laptop",), "Laptop-2"),
        ("laptop", ("laptop", "laptop-2"), "laptop-3"),
        ("admin", (), "admin-2"),
        ("1", (), "1-2"),
        ("büro", (), "b-ro"),
        ("büro", ("b-ro",), "b-ro-2"),
        ("", (), "key"),
        ("💥", ("key",), "key-2"),
        (" a ", (), "a"),
        ("x" * 70, (), "x" * 64),
        ("x" * 64, ("x" * 64,), "x" * 62 + "-2"),
    ],
)
def test_a_name_from_elsewhere_is_made_to_fit(name, taken, fitted):
    assert fit_name(name, taken) == fitted


@given(st.text(max_size=80), st.sets(st.text(alphabet="ab-2", max_size=5)))
def test_what_fits_is_legal_and_free(name, taken):
    fitted = fit_name(name, taken)
    assert find_fault(fitted) is None
    assert fitted.lower() not in taken

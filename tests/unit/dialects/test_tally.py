"""Promise: a body of very many small things is refused before it costs more than a large one."""

import msgspec
import pytest

from ocpd.dialects.tally import MAX_ITEMS, Counted, counting
from ocpd.errors import BadRequest


class Apple(Counted, gc=False):
    counted_as = "apples"
    counted_in = "basket"

    name: str = ""


class Pear(Counted, gc=False):
    counted_as = "pears"

    size: int = 0


class Basket(msgspec.Struct):
    basket: list[Apple] = []
    pears: list[Pear] = []


DECODER = msgspec.json.Decoder(Basket)


def fill(apples: int, pears: int = 0) -> bytes:
    return b'{"basket":[%b],"pears":[%b]}' % (
        b",".join([b"{}"] * apples),
        b",".join([b"{}"] * pears),
    )


def test_as_many_as_the_limit_are_read() -> None:
    with counting("fruit"):
        found = DECODER.decode(fill(MAX_ITEMS, MAX_ITEMS))
    assert (len(found.basket), len(found.pears)) == (MAX_ITEMS, MAX_ITEMS)


@pytest.mark.parametrize(
    ("apples", "pears", "field", "kind"),
    [(MAX_ITEMS + 1, 0, "basket", "apples"), (0, MAX_ITEMS + 1, "fruit", "pears")],
)
def test_one_more_is_refused_by_its_field_and_kind(
    apples: int, pears: int, field: str, kind: str
) -> None:
    with counting("fruit"), pytest.raises(BadRequest) as caught:
        DECODER.decode(fill(apples, pears))
    assert (caught.value.status, caught.value.param) == (400, field)
    assert caught.value.message == (
        f"{field}: more than {MAX_ITEMS} {kind} were sent; at most {MAX_ITEMS} are read"
    )


def test_the_reading_ends_at_the_first_too_many() -> None:
    # What follows is not even JSON.
    with counting("fruit"), pytest.raises(BadRequest, match="apples"):
        DECODER.decode(fill(MAX_ITEMS + 1).partition(b"]")[0] + b"!!!")


def test_each_request_is_counted_afresh_and_without_one_nothing_is() -> None:
    for _ in range(2):
        with counting("fruit"):
            DECODER.decode(fill(MAX_ITEMS))
    assert len(DECODER.decode(fill(MAX_ITEMS + 1)).basket) == MAX_ITEMS + 1

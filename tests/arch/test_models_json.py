"""models.json, its schema and the struct that reads it are of one mind."""

import re

import msgspec

from ocpd.__main__ import read_models
from ocpd.models import Model, ModelsFile
from ocpd.settings.table import KNOBS
from ocpd.settings.values import Settings
from tests.arch.tree import TOP

TABLE = msgspec.json.decode((TOP / "models.json").read_bytes())
SCHEMA = msgspec.json.decode((TOP / "packaging/models.schema.json").read_bytes())


def _names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def test_the_schema_asks_for_the_fields_that_are_read():
    model = SCHEMA["$defs"]["model"]
    for part, struct in ((SCHEMA, ModelsFile), (model, Model)):
        assert set(part["required"]) == set(part["properties"]) == _names(struct)
        assert part["additionalProperties"] is False


def test_the_table_fits_the_schema_where_types_do_not_say_it():
    properties = SCHEMA["$defs"]["model"]["properties"]
    efforts = set(properties["efforts"]["items"]["enum"])
    for model in TABLE["models"]:
        assert re.fullmatch(properties["id"]["pattern"], model["id"])
        assert set(model["efforts"]) <= efforts
    name = re.compile(SCHEMA["$defs"]["names"]["propertyNames"]["pattern"])
    assert all(name.match(alias) for alias in TABLE["aliases"] | TABLE["legacyAliases"])


def test_the_table_can_be_read_and_has_the_default_model():
    models = read_models(Settings())
    assert [model.id for model in models.listing] == [model["id"] for model in TABLE["models"]]
    (default,) = (knob.default for knob in KNOBS if knob.key == "defaultModel")
    assert default in models.aliases


def test_no_context_is_promised_that_the_window_cannot_hold():
    for model in read_models(Settings()).listing:
        assert model.context_length < model.context_window
        assert model.max_tokens < model.context_window

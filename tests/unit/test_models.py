"""models.json and the names it gives a meaning."""

from pathlib import Path

import msgspec
import pytest

from ocpd.errors import BadRequest
from ocpd.models import Model, Models, ModelsFile, Offered, Resolved, drift, load_models

ROOT = Path(__file__).resolve().parents[2]
DATA = (ROOT / "models.json").read_bytes()
HAIKU = "claude-haiku-4-5-20251001"


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models(DATA)


def resolve(models: Models, name: str | None, unknown: str = "refuse") -> Resolved:
    return models.resolve(name, default="sonnet", unknown=unknown)


def edited(path: str, value: object) -> bytes:
    """models.json with one value changed; ``path`` is written a.0.b."""
    tree = msgspec.json.decode(DATA)
    *parents, last = path.split(".")
    place = tree
    for step in parents:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return msgspec.json.encode(tree)


def test_the_listing_is_in_the_order_of_the_file(models: Models) -> None:
    assert [model.id for model in models.listing] == [
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        "claude-fable-5-2",
        "claude-haiku-5-5",
        "claude-opus-5",
        "claude-opus-4-8",
        "claude-sonnet-5",
        "claude-opus-4-7",
        "claude-opus-4-6",
        "claude-sonnet-4-6",
        HAIKU,
    ]
    assert repr(models) == "Models(11 listed, 19 names)"


def test_every_model_says_what_the_cli_accepts_of_its_window(models: Models) -> None:
    for model in models.listing:
        assert model.context_length == model.context_window - 23_000, model.id
        assert model.openclaw_name == f"{model.display_name} (via CLI)"
        assert model.vision
        assert model.reasoning


def test_the_figures_of_the_models_are_the_measured_ones(models: Models) -> None:
    rows = {m.id: (m.context_window, m.max_tokens, len(m.efforts)) for m in models.listing}
    assert rows["claude-opus-5-5"] == (1_000_000, 128_000, 5)
    assert rows["claude-sonnet-5"] == (1_000_000, 64_000, 5)
    assert rows["claude-opus-4-7"] == (1_000_000, 64_000, 5)
    assert rows["claude-opus-4-6"] == (200_000, 64_000, 4)
    assert rows["claude-sonnet-4-6"] == (200_000, 32_000, 4)
    assert rows[HAIKU] == (200_000, 32_000, 0)
    assert [m.id for m in models.listing if not m.thinking_off] == [
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        "claude-fable-5-2",
        "claude-haiku-5-5",
    ]
    samplers = [m for m in models.listing if m.sampling]
    assert [m.id for m in samplers] == ["claude-opus-4-6", "claude-sonnet-4-6", HAIKU]
    assert all(m.thinking_off for m in samplers), "none takes them while it thinks"


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("claude-opus-4-7", "claude-opus-4-7"),
        ("claude-opus-4-6", "claude-opus-4-6"),
        ("claude-sonnet-4-6", "claude-sonnet-4-6"),
        (HAIKU, HAIKU),
        ("claude-opus-4", "claude-opus-4-7"),
        ("claude-sonnet-4", "claude-sonnet-4-6"),
        ("claude-haiku-4", HAIKU),
        ("claude-haiku-4-5", HAIKU),
        ("opus", "claude-opus-5-5"),
        ("sonnet", "claude-sonnet-5-5"),
        ("fable", "claude-fable-5-2"),
        ("haiku", "claude-haiku-5-5"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "openai/", "claude-code-cli/", "claude-local/", "OpenAI/"])
def test_every_name_older_clients_use_still_means_a_model(
    models: Models, prefix: str, name: str, means: str
) -> None:
    for spelled in (prefix + name, prefix + name.upper()):
        found = resolve(models, spelled)
        assert (found.id, found.listed) == (means, True)
        assert found.model is not None
        assert found.model.id == means


def test_only_one_prefix_is_dropped(models: Models) -> None:
    with pytest.raises(BadRequest) as caught:
        resolve(models, "openai/claude-local/opus")
    assert caught.value.status == 404


def test_no_name_means_the_default(models: Models) -> None:
    assert resolve(models, None).id == "claude-sonnet-5-5"


@pytest.mark.parametrize("name", ["", " ", "\n\t"])
def test_an_empty_name_is_refused_even_where_unknown_names_run_the_default(
    models: Models, name: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        resolve(models, name, unknown="default")
    assert (caught.value.status, caught.value.param) == (400, "model")


@pytest.mark.parametrize("name", ["claude-opus-6", "openai/claude-opus-6", "claude-next.1"])
def test_an_id_the_table_does_not_list_passes_through(models: Models, name: str) -> None:
    assert resolve(models, name, unknown="default") == Resolved(
        name.removeprefix("openai/"), listed=False, model=None
    )


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "Claude-Opus-6", "claude-", "claude-" + "x" * 65, "claude-x;y", "claude-x\n", "ö"],
)
def test_a_name_nobody_knows_is_refused_with_the_accepted_ones(models: Models, name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        resolve(models, name)
    refusal = caught.value
    assert (refusal.status, refusal.code, refusal.param) == (404, "model_not_found", "model")
    for accepted in ("claude-opus-5-5", "haiku", "claude-sonnet-4"):
        assert accepted in refusal.message


def test_a_refusal_names_the_nearest_match(models: Models) -> None:
    with pytest.raises(BadRequest, match="did you mean 'sonnet'"):
        resolve(models, "sonet")


def test_a_very_long_name_is_neither_echoed_nor_compared_in_full(models: Models) -> None:
    with pytest.raises(BadRequest) as caught:
        resolve(models, "x" * 1_000_000)
    assert len(caught.value.message) < 1_000


def test_an_unknown_name_runs_the_default_where_that_is_asked_for(models: Models) -> None:
    assert resolve(models, "gpt-4o", unknown="default").id == "claude-sonnet-5-5"


def test_a_default_that_is_no_model_is_refused(models: Models) -> None:
    with pytest.raises(BadRequest):
        models.resolve(None, default="gpt-4o", unknown="default")


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("version", 2, r"\$\.version"),
        ("models", [], "models is empty"),
        ("models.1.colour", "red", r"\$\.models\[1\]"),
        ("models.1.id", "gpt", r"models\[1\] \(gpt\): id must"),
        ("models.1.id", "claude-opus-5-5", r"models\[1\] .* appears twice"),
        ("models.2.displayName", "", r"models\[2\] .* displayName"),
        ("models.2.contextLength", 2_000_000, r"models\[2\] .* contextLength"),
        ("models.2.contextLength", 0, r"models\[2\] .* contextLength"),
        ("models.2.maxTokens", 0, r"models\[2\] .* maxTokens"),
        ("models.2.maxTokens", "many", r"\$\.models\[2\]\.maxTokens"),
        ("models.2.efforts", ["low", "low"], r"models\[2\] .* efforts"),
        ("models.2.efforts", ["huge"], r"\$\.models\[2\]\.efforts\[0\]"),
        ("aliases.Opus", "claude-opus-5-5", r"aliases\['Opus'\]"),
        ("aliases.x", "claude-nothing", r"aliases\['x'\].*no id"),
        ("aliases.claude-opus-5", "claude-opus-5-5", r"aliases\['claude-opus-5'\].*taken"),
        ("legacyAliases.opus", "claude-opus-5", r"legacyAliases\['opus'\].*taken"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_entry(path: str, value: object, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        load_models(edited(path, value))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b"{}"])
def test_anything_else_than_a_models_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"models\.json"):
        load_models(data)


def test_a_cli_that_agrees_gives_no_warning(models: Models) -> None:
    offered = [Offered(name, target) for name, target in models.aliases.items()]
    assert drift(models, [*offered, Offered("default", "claude-sonnet-5-5")]) == ()


def test_a_model_the_table_lacks_and_an_alias_that_moved_are_told(models: Models) -> None:
    warnings = drift(
        models, [Offered("opus", "claude-opus-6"), Offered("default", "claude-opus-6")]
    )
    assert warnings == (
        "the CLI offers claude-opus-6, which models.json does not list",
        "opus is claude-opus-5-5 in models.json, claude-opus-6 in the CLI",
    )


def test_the_published_schema_has_the_fields_of_the_structs() -> None:
    schema = msgspec.json.decode((ROOT / "packaging/models.schema.json").read_bytes())
    for node, struct in ((schema, ModelsFile), (schema["$defs"]["model"], Model)):
        fields = list(struct.__struct_encode_fields__)
        assert list(node["properties"]) == fields
        assert node["required"] == fields
        assert node["additionalProperties"] is False
    efforts = schema["$defs"]["model"]["properties"]["efforts"]["items"]["enum"]
    assert efforts == ["low", "medium", "high", "xhigh", "max"]


# The operator's overlay (setting modelsFile).

SHIPPED = Path("models.json").read_bytes()
ROW = {
    "id": "claude-test-9",
    "displayName": "Claude Test 9",
    "openclawName": "Claude Test 9 (via CLI)",
    "reasoning": True,
    "vision": True,
    "contextWindow": 200_000,
    "contextLength": 177_000,
    "maxTokens": 32_000,
    "efforts": [],
    "thinkingOff": True,
    "sampling": False,
}


def overlaid(**changes: object) -> Models:
    return load_models(SHIPPED, msgspec.json.encode({"version": 1, **changes}))


def test_an_overlay_adds_a_model_in_front():
    models = overlaid(models=[ROW], aliases={"test": "claude-test-9"})
    assert models.listing[0].id == "claude-test-9"
    assert models.resolve("TEST", default="sonnet", unknown="refuse").id == "claude-test-9"


def test_an_overlay_replaces_a_row_in_its_place():
    before = [model.id for model in load_models(SHIPPED).listing]
    models = overlaid(models=[{**ROW, "id": before[3], "maxTokens": 7}])
    assert [model.id for model in models.listing] == before
    assert models.listing[3].max_tokens == 7


def test_an_overlay_hides_a_model_and_its_names():
    models = overlaid(hide=["claude-fable-5-2"])
    assert "claude-fable-5-2" not in [model.id for model in models.listing]
    with pytest.raises(BadRequest):
        models.resolve("fable", default="sonnet", unknown="refuse")


def test_an_overlay_points_a_name_elsewhere_or_takes_it_away():
    models = overlaid(aliases={"sonnet": "claude-opus-5-5", "haiku": None})
    assert models.resolve("sonnet", default="opus", unknown="refuse").id == "claude-opus-5-5"
    with pytest.raises(BadRequest):
        models.resolve("haiku", default="opus", unknown="refuse")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"models": [{**ROW, "maxTokens": 0}]}, "claude-test-9"),
        ({"hide": ["claude-nobody"]}, "hide[0]"),
        ({"aliases": {"x": "claude-nobody"}}, "aliases['x']"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_overlay_names_its_entry(changes: dict[str, object], named: str):
    with pytest.raises(ValueError, match="modelsFile") as refused:
        overlaid(**changes)
    assert named in str(refused.value)

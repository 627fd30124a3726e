"""numpy fields: from JSON and back, what does not fit, and their schemas."""

from __future__ import annotations

import json
from typing import Annotated, Any, Optional

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, Field, Tag, ValidationError

from openenv.schema import json_schema
from openenv.types import Action, Observation, State


class Seen(Observation):
    frame: np.ndarray = np.zeros(0)
    pixels: NDArray[np.float32] | None = None
    maybe: Optional[np.ndarray] = None  # noqa: UP045 - as authors write it
    named: dict[str, np.ndarray] = Field(default_factory=dict)
    many: list[NDArray[np.int64]] = Field(default_factory=list)
    either: int | np.ndarray = 0
    tagged: Annotated[np.ndarray, Tag("array")] | Annotated[bool, Tag("flag")] = False
    energy: np.float32 = np.float32(0)
    level: np.int8 = np.int8(0)
    alive: np.bool_ = np.bool_(False)
    label: np.str_ = np.str_("")


class Aimed(Action):
    at: np.ndarray


class Told(State):
    at: np.ndarray


class Odd(Observation):
    source: np.random.Generator | None = None
    masked: np.ma.MaskedArray | None = None
    whole: np.integer | None = None


def read(**fields: Any) -> Seen:
    return Seen.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize("field", ["frame", "pixels", "maybe"])
@pytest.mark.parametrize("value", [[1, 2], [[1.5, 2.0], [3.0, 4.0]], [], [[]], 3, 2.5, True, [True, False]])
def test_an_array_from_json_and_back(field: str, value: Any) -> None:
    model = read(**{field: value})
    array = getattr(model, field)
    assert isinstance(array, np.ndarray)
    assert array.tolist() == value
    assert json.loads(model.model_dump_json())[field] == value


def test_arrays_inside_containers() -> None:
    model = read(named={"a": [1], "b": [[2]]}, many=[[1], [2, 3]], either=[4])
    assert {name: array.tolist() for name, array in model.named.items()} == {"a": [1], "b": [[2]]}
    assert [array.tolist() for array in model.many] == [[1], [2, 3]]
    assert isinstance(model.either, np.ndarray)
    assert read(either=4).either == 4
    assert read(tagged=[4]).tagged.tolist() == [4]
    assert json.loads(model.model_dump_json())["named"] == {"a": [1], "b": [[2]]}


@pytest.mark.parametrize("cls", [Aimed, Told])
def test_actions_and_states_have_arrays_too(cls: type[Any]) -> None:
    assert cls.model_validate_json('{"at":[1,2]}').at.shape == (2,)
    assert cls.model_validate({"at": (1, 2)}).at.shape == (2,)


def test_an_array_is_taken_as_it_is() -> None:
    array = np.arange(3, dtype=np.int16)
    assert Aimed(at=array).at is array
    assert Aimed(at=array).model_dump()["at"] is array


def test_null_among_numbers_is_nan() -> None:
    array = read(frame=[[1, 2], [3, None]]).frame
    assert array.dtype == np.float64
    assert np.isnan(array).tolist() == [[False, False], [False, True]]
    assert np.isnan(read(energy=None).energy)


@pytest.mark.parametrize("value", ["abc", {"a": [1]}, None, [[1], [2, 3]], [{"a": 1}], [[1], None]])
def test_what_is_no_array_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        read(frame=value)
    assert refused.value.errors()[0]["loc"] == ("frame",)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("energy", 1.5, np.float32(1.5)),
        ("energy", 1, np.float32(1)),
        ("level", 7, np.int8(7)),
        ("level", 7.0, np.int8(7)),
        ("alive", True, np.bool_(True)),
        ("label", "x", np.str_("x")),
    ],
)
def test_a_scalar_from_json_and_back(field: str, value: Any, expected: Any) -> None:
    model = read(**{field: value})
    assert type(getattr(model, field)) is type(expected)
    assert getattr(model, field) == expected
    assert json.loads(model.model_dump_json())[field] == value
    assert getattr(Seen.model_validate({field: expected}), field) is expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("energy", "1"),
        ("energy", [1]),
        ("energy", {}),
        ("level", 300),
        ("level", 1.5),
        ("level", 1e30),
        ("level", None),
        ("alive", 2),
        ("alive", "yes"),
        ("label", 1),
    ],
)
def test_what_is_no_such_scalar_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**{field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


def test_schemas() -> None:
    fields = json_schema(Seen)["properties"]
    array = {"type": "array", "items": {}}
    plain = {name: {k: v for k, v in field.items() if k in ("type", "items")} for name, field in fields.items()}
    assert plain["frame"] == array
    known, unknown = {"kind": "ndarray", "dtype": "<f4"}, {"kind": "ndarray"}
    assert fields["pixels"]["anyOf"] == [{**array, "x-openenv": known}, {"type": "null"}]
    assert fields["maybe"]["anyOf"] == [{**array, "x-openenv": unknown}, {"type": "null"}]
    assert {**fields["named"]["additionalProperties"], "x-openenv": 0} == {**array, "x-openenv": 0}
    assert {**fields["many"]["items"], "x-openenv": 0} == {**array, "x-openenv": 0}
    assert fields["energy"]["x-openenv"]["kind"] == "scalar"
    assert {name: plain[name]["type"] for name in ("energy", "level", "alive", "label")} == {
        "energy": "number",
        "level": "integer",
        "alive": "boolean",
        "label": "string",
    }


def test_other_numpy_types_stay_objects() -> None:
    source, masked = np.random.default_rng(), np.ma.masked_array([1, 2], [0, 1])
    odd = Odd(source=source, masked=masked, whole=np.int16(3))
    assert odd.source is source
    assert odd.masked is masked
    assert json_schema(Odd)["properties"]["source"]["anyOf"] == [{}, {"type": "null"}]
    for field, value in (("source", 1), ("masked", [1]), ("whole", 3)):
        with pytest.raises(ValidationError):
            Odd.model_validate({field: value})


def test_a_model_without_arrays_is_as_pydantic_makes_it() -> None:
    class Plain(BaseModel):
        a: tuple[int, str]

    class Ours(Action):
        a: tuple[int, str]

    assert Ours.model_json_schema()["properties"]["a"] == Plain.model_json_schema()["properties"]["a"]
    assert Ours.model_validate({"a": (1, "x")}).a == (1, "x")

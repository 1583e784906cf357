"""Settings: nothing is ignored, and a mistake is answered with what to write."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from roots.errors import InputError, SettingsError
from roots.settings import as_values, build, parse_pairs, read_toml


@dataclass(frozen=True)
class Oven:
    heat: float = 200.0
    minutes: int = 30
    kind: str = "gas"
    fan: bool = False
    trays: tuple[int, ...] = (1, 2)
    note: str | None = None

    def __post_init__(self) -> None:
        if self.minutes < 0:
            raise ValueError(f"minutes = {self.minutes} is below 0")


@dataclass(frozen=True)
class Topping:
    name: str
    grams: float = 10.0


@dataclass(frozen=True)
class Cake:
    layers: tuple[Topping, ...] = ()
    icing: str | Topping = "none at all"
    mix: Mapping[str, float] = field(default_factory=dict)
    bakes: tuple[tuple[int, float], ...] = ()
    extra: Topping | None = None


def test_pairs_are_read_as_values() -> None:
    pairs = parse_pairs(["oven.heat=180", "oven.kind=wood", "oven.fan=true", "cake.note = 'a b'"])
    assert pairs == {"oven": {"heat": 180, "kind": "wood", "fan": True}, "cake": {"note": "a b"}}
    assert build(Oven, pairs["oven"], "oven") == Oven(180.0, kind="wood", fan=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heet": 1}, "Did you mean 'heat'"),
        ({"minutes": "long"}, r"oven\.minutes = 'long' is not a whole number"),
        ({"minutes": True}, "is not a whole number"),
        ({"fan": 1}, "is not true or false"),
        ({"minutes": -1}, "below 0"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(Oven, values, "oven")


@pytest.mark.parametrize("pair", ["heat=1", "oven.heat", "=1", ".x=1"])
def test_a_pair_needs_its_three_parts(pair: str) -> None:
    with pytest.raises(SettingsError, match=r"stage\.key=value"):
        parse_pairs([pair])


def test_tuples_and_absence() -> None:
    assert build(Oven, {"trays": [3, 4], "note": "none"}, "oven") == Oven(trays=(3, 4))
    assert build(Oven, parse_pairs(["oven.trays=3,4"])["oven"], "oven") == Oven(trays=(3, 4))
    assert build(Oven, {"trays": 3}, "oven") == Oven(trays=(3,))
    assert build(Oven, parse_pairs(["oven.note=2024-05-14"])["oven"], "oven").note == "2024-05-14"


def test_values_do_not_depend_on_the_order_of_sets() -> None:
    assert as_values({"b": frozenset({"x", "y", "z"}), "a": Oven()}) == {
        "a": as_values(Oven()),
        "b": ["x", "y", "z"],
    }


def test_toml_mistakes_are_placed(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("a = \n")
    with pytest.raises(InputError, match="line 1"):
        read_toml(tmp_path / "x.toml")
    with pytest.raises(InputError, match="no file"):
        read_toml(tmp_path / "y.toml")


def test_tables_and_lists_fill_nested_dataclasses(tmp_path: Path) -> None:
    wanted = Cake(
        (Topping("jam"), Topping("nuts", 5.0)), Topping("sugar"), {"flour": 0.5, "eggs": 2.0}, ((2, 2.5), (5, 3.0)),
        Topping("rum"),
    )  # fmt: skip
    pairs = [
        "cake.layers=[{name = 'jam'}, {name = 'nuts', grams = 5}]",
        "cake.icing={name = 'sugar'}",
        "cake.mix={flour = 0.5, eggs = 2}",
        "cake.bakes=[[2, 2.5], [5, 3]]",
        "cake.extra={name = 'rum'}",
    ]
    assert build(Cake, parse_pairs(pairs)["cake"], "cake") == wanted
    (tmp_path / "cake.toml").write_text(
        """
        [cake]
        icing = {name = "sugar"}
        bakes = [[2, 2.5], [5, 3]]
        mix.flour = 0.5
        mix.eggs = 2
        extra.name = "rum"
        [[cake.layers]]
        name = "jam"
        [[cake.layers]]
        name = "nuts"
        grams = 5
        """
    )
    assert build(Cake, read_toml(tmp_path / "cake.toml")["cake"], "cake") == wanted
    assert build(Cake, as_values(wanted), "cake") == wanted
    assert build(Cake, {"icing": "sugar", "extra": "none"}, "cake") == Cake(icing="sugar")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("cake.layers=[{name = 'jam', gram = 3}]", r"cake\.layers\[0\].*Did you mean 'grams'"),
        ("cake.layers=[{name = 'jam'}, {grams = 3}]", r"cake\.layers\[1\].*name"),
        ("cake.layers=jam", r"cake\.layers\[0\] = 'jam' is not a table"),
        ("cake.icing={name = 'sugar', grams = 'much'}", r"cake\.icing\.grams = 'much' is not a number"),
        ("cake.mix={flour = 'some'}", r"cake\.mix\.flour = 'some' is not a number"),
        ("cake.mix=flour", r"cake\.mix = 'flour' is not a table"),
        ("cake.bakes=2:2,3:3", r"cake\.bakes = '2:2,3:3' is not a list of lists"),
        ("cake.bakes=[2, 2]", r"cake\.bakes\[0\] = 2 is not a list of 2 values"),
        ("cake.bakes=[[2, 2], [3, true]]", r"cake\.bakes\[1\]\[1\] = True is not a number"),
        ("cake.mix={flour: 1}", r"cake\.mix = '\{flour: 1\}' is not valid TOML"),
    ],
)
def test_mistakes_in_nested_values_are_named(pair: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(Cake, parse_pairs([pair])["cake"], "cake")

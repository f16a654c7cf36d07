"""Which operators there are, and how people pick some."""

import pytest

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.operators import catalogue, registry
from pytest_mutatenn.operators.catalogue import select
from pytest_mutatenn.operators.registry import CATEGORIES, STAGES, operator

OPERATORS = catalogue.load()


def picked(patterns):
    return [f"{stage}.{op.name}" for stage, op in select(OPERATORS, patterns)]


@pytest.fixture
def empty(monkeypatch):
    """A registry with nothing in it; what is defined in the test goes with it."""
    monkeypatch.setattr(registry, "REGISTRY", {})
    return registry.REGISTRY


def relu(name="mine", **changed):
    """Define an operator on ReLU."""
    settings = {"category": "layer", "stages": ["graph"], "on": "relax.nn.relu", **changed}

    @operator(name, **settings)
    def mine(call):
        """Say nothing."""
        yield call

    return registry.REGISTRY[name]


class TestSelect:
    def test_nothing_means_default(self):
        assert picked("") == picked("default") == picked(" , ")
        assert "kernel.boundary" in picked("default")
        assert "kernel.LT_to_LE" not in picked("default")

    def test_all_is_every_operator_at_every_stage_of_its(self):
        expected = {f"{s}.{op.name}" for op in OPERATORS.values() for s in op.stages}
        assert set(picked("all")) == expected

    def test_a_name_is_every_stage_of_it(self):
        assert picked("boundary") == ["kernel.boundary", "device.boundary"]

    def test_a_stage_before_the_dot_narrows(self):
        assert picked("device.boundary") == ["device.boundary"]
        assert picked("kernel.conditional") == [
            p for p in picked("conditional") if p.startswith("kernel.")
        ]
        assert picked("kernel.default") == [p for p in picked("default") if p.startswith("kernel.")]

    @pytest.mark.parametrize("stage", ["graph", "kernel", "device"])
    def test_a_stage(self, stage):
        assert picked(stage) == [p for p in picked("all") if p.startswith(stage + ".")]

    @pytest.mark.parametrize("category", sorted({op.category for op in OPERATORS.values()}))
    def test_a_category(self, category):
        names = {p.partition(".")[2] for p in picked(category)}
        assert names == {op.name for op in OPERATORS.values() if op.category == category}

    def test_a_glob(self):
        assert picked("kernel.LT_*") == ["kernel.LT_to_GT", "kernel.LT_to_LE"]
        assert picked("graph.relu_to_s*") == ["graph.relu_to_sigmoid"]

    def test_globs_mind_the_case(self):
        with pytest.raises(MutatennError, match="unknown operator"):
            picked("lt_*")

    def test_taking_away(self):
        assert picked("boundary,-device.boundary") == ["kernel.boundary"]
        assert picked("boundary,-device.*") == ["kernel.boundary"]
        assert picked("boundary,-kernel") == ["device.boundary"]

    def test_only_taking_away_starts_from_default(self):
        assert picked("-device") == [p for p in picked("default") if not p.startswith("device.")]

    def test_the_last_word_counts(self):
        assert picked("-boundary,boundary") == picked("boundary")
        assert picked("boundary,-boundary") == []

    def test_the_order_typed_is_of_no_matter(self):
        assert picked("relu_to_sigmoid,boundary") == picked("boundary,relu_to_sigmoid")

    def test_the_order_is_stage_then_name(self):
        order = {stage: i for i, stage in enumerate(STAGES)}
        found = [tuple(p.split(".")) for p in picked("all")]
        assert found == sorted(found, key=lambda p: (order[p[0]], p[1]))

    def test_nothing_is_picked_twice(self):
        assert picked("boundary,conditional,all") == picked("all")

    def test_a_known_group_without_members_is_no_error(self):
        assert picked("higher-order") == []

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("boundry", "boundary"),
            ("graph.relu_to_sigmiod", "graph.relu_to_sigmoid"),
            ("condtional", "conditional"),
            ("-mutaten", None),
            ("defualt", "default"),
        ],
    )
    def test_an_unknown_name_gets_the_nearest(self, typed, meant):
        with pytest.raises(MutatennError) as caught:
            picked(typed)
        message = str(caught.value)
        assert "--mutatenn-operators" in message
        assert repr(typed.removeprefix("-")) in message
        assert "Groups: all, default, mutatenn" in message
        assert f"Did you mean {meant or 'mutatenn'!r}?" in message

    def test_a_stage_that_the_operator_does_not_serve(self):
        with pytest.raises(MutatennError, match=r"unknown operator 'graph\.boundary'"):
            picked("graph.boundary")

    def test_what_is_like_nothing_gets_no_guess(self):
        with pytest.raises(MutatennError) as caught:
            picked("qqqqqqq")
        assert "Did you mean" not in str(caught.value)


class TestDefine:
    def test_what_is_recorded(self, empty):
        op = relu(groups=["default"])
        assert (op.name, op.category, op.stages, op.on) == (
            "mine", "layer", ("graph",), ("relax.nn.relu",)
        )  # fmt: skip
        assert op.summary == "Say nothing."
        assert op.origin.name == "test_registry.py"
        assert op.groups == {"default"}

    def test_the_function_stays_itself(self, empty):
        @operator("mine", category="layer", stages=["graph"], on="relax.nn.relu")
        def mine(call):
            """Give it back."""
            yield call

        assert list(mine(3)) == [3]

    def test_a_name_taken_elsewhere(self):
        with pytest.raises(MutatennError, match=r"'boundary' of .*test_registry\.py is already"):
            relu("boundary")
        assert OPERATORS["boundary"].origin.name == "comparisons.py"

    def test_a_file_read_again_replaces_its_own(self, empty):
        relu()
        assert relu(category="arithmetic").category == "arithmetic"

    def test_no_docstring(self, empty):
        with pytest.raises(MutatennError, match="'silent' has no docstring"):

            @operator("silent", category="layer", stages=["graph"], on="relax.nn.relu")
            def silent(call):
                yield call

        assert "silent" not in empty

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [
            ({"category": "colour"}, "unknown category 'colour'"),
            ({"stages": ["source"]}, "unknown stage 'source'"),
            ({"within": ["heart"]}, "unknown role 'heart'"),
        ],
    )
    def test_an_unknown_word(self, empty, wrong, what):
        with pytest.raises(MutatennError, match=f"'mine' has the {what}. Known: "):
            relu(**wrong)
        assert not empty

    def test_every_operator_of_ours_is_whole(self):
        for op in OPERATORS.values():
            assert op.category in CATEGORIES
            assert op.stages
            assert set(op.stages) <= set(STAGES)
            assert op.on
            assert op.example is not None
            assert op.groups <= {"mutatenn", "default"}


class TestUserFiles:
    TEXT = '''
from tvm import relax
from pytest_mutatenn import operator

@operator("{name}", category="layer", stages=["graph"], on="relax.nn.relu")
def mine(call):
    """Replace a ReLU by tanh."""
    yield relax.op.tanh(call.args[0])
'''

    @pytest.fixture(autouse=True)
    def _private(self, monkeypatch):
        monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))

    def file(self, folder, text=TEXT, name="from_a_file"):
        path = folder / "my_operators.py"
        path.write_text(text.replace("{name}", name))
        return path

    def test_they_are_loaded_by_path(self, tmp_path):
        path = self.file(tmp_path)
        loaded = catalogue.load([path])
        assert loaded["from_a_file"].origin == path
        assert registry.registered_files() == (path,)
        assert ("graph", loaded["from_a_file"]) in select(loaded, "from_a_*")
        assert list(loaded) == sorted(loaded)

    def test_a_file_is_read_once(self, tmp_path):
        path = self.file(tmp_path, self.TEXT + "print('read')")
        first = catalogue.load([path])["from_a_file"]
        assert catalogue.load([path])["from_a_file"] is first

    def test_another_text_is_another_version(self, tmp_path, monkeypatch):
        first = catalogue.load([self.file(tmp_path)])["from_a_file"].version
        registry.REGISTRY.pop("from_a_file")
        path = self.file(tmp_path, self.TEXT.replace("tanh", "exp"))
        assert catalogue.load([path])["from_a_file"].version != first

    def test_a_file_that_takes_a_name_of_ours(self, tmp_path):
        with pytest.raises(
            MutatennError, match=r"my_operators\.py is already defined in .*comparisons"
        ):
            catalogue.load([self.file(tmp_path, name="boundary")])

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("import nowhere", "ModuleNotFoundError"),
            ("1 +", "SyntaxError"),
            ("1 / 0", "ZeroDivision"),
        ],
    )
    def test_a_file_that_does_not_import(self, tmp_path, text, what):
        path = self.file(tmp_path, text)
        with pytest.raises(MutatennError, match=f"{path.name} could not be imported: {what}"):
            catalogue.load([path])

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(MutatennError, match=r"nowhere\.py"):
            catalogue.load([tmp_path / "nowhere.py"])


def test_what_was_made_on_demand_is_listed_in_no_other_catalogue():
    one, other = catalogue.load(), catalogue.load()
    assert one.find("floor_conv2d_0_before").name == "floor_conv2d_0_before"
    assert "floor_conv2d_0_before" in one
    assert "floor_conv2d_0_before" not in other
    assert "floor_conv2d_0_before" not in catalogue.load()
    assert other.find("floor_conv2d_0_before") is not None

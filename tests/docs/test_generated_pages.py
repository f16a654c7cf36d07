import importlib.util

import pytest
from pages import ROOT


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_of_operators_is_up_to_date(generate):
    written = generate.OPERATORS.read_text("utf-8")
    assert written == generate.operators_page(), "run: python docs/generate.py"


def test_the_table_of_options_is_up_to_date(generate):
    written = generate.README.read_text("utf-8")
    assert written == generate.readme_with(generate.options_table()), "run: python docs/generate.py"


def test_every_option_and_ini_key_is_in_the_table(generate, pytestconfig):
    declared = generate.Options.declared()
    table = generate.options_table()
    for option in declared.options:
        assert f"`{option}" in table
    for key in declared.ini:
        assert f"| `{key}` |" in table
        assert isinstance(pytestconfig.getini(key), str | list | None)

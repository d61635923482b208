"""What the schema expects at each place, and what a recipe may leave unsaid."""

from pydantic import Field

from attnkit.config import Config
from attnkit.recipe_file.form import Slot, expected, fields_of, fill_in, one_of, root_slot, slot_of
from attnkit.recipe_file.tree import Place, parse_value
from tests.recipe_file.fruit import Apples, Fruit, Pears
from tests.recipe_file.test_load import MINIMAL


def test_section_without_its_name_is_the_default_one(my):
    recipe = my(MINIMAL + "tokenizer: {vocab_size: 321}\n", "train.optimizer.beta2=0.997")
    assert (recipe.tokenizer.name, recipe.tokenizer.vocab_size) == ("sentencepiece", 321)
    assert (recipe.train.optimizer.name, recipe.train.optimizer.beta2) == ("adam", 0.997)


def test_exponent_is_an_integer_where_one_is_expected(my, mistakes):
    assert my(MINIMAL.replace("7", "3e5")).train.steps == 300_000
    assert mistakes(MINIMAL.replace("7", "3.5")) == ["my.yaml:3: train.steps: expected an integer, got 3.5"]


def test_two_choices_without_default_must_be_named():
    slot = Slot(Pears | Apples, "task")
    assert slot.default_tag() == "apples"
    assert Slot(Pears, "task").default_tag() is None
    assert expected(slot) == "a section with task: pears or apples"


class Branch(Config):
    fruit: Fruit = Pears(task="pears", weight=0.5)
    from_: int = Field(0, alias="from")
    sizes: tuple[float, ...] = ()
    ripe: bool | None = None


def filled(text):
    tree = parse_value(text, Place(1, "my.yaml:1"))
    fill_in(tree, root_slot(Branch))
    return tree.plain()


def test_the_default_says_which_section_is_meant():
    """Of the whole form apples are the default, of this field pears."""
    assert filled("{fruit: {weight: 2}}") == {"fruit": {"weight": 2, "task": "pears"}}
    assert filled("{fruit: {task: apples, count: 1e3}}") == {"fruit": {"task": "apples", "count": 1000}}


def test_words_for_what_is_expected():
    fields = fields_of(Branch)
    assert list(fields) == ["fruit", "from", "sizes", "ripe"]
    words = {name: expected(slot_of(field)) for name, field in fields.items()}
    assert words == {
        "fruit": "a section with task: apples or pears",
        "from": "an integer",
        "sizes": "a list",
        "ripe": "true or false or null",
    }
    assert [one_of(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a or b", "a, b or c"]


def test_a_number_in_a_list_of_numbers_stays_as_it_is():
    """Whole numbers become integers where no fraction is allowed, and nowhere else."""
    sizes = filled("{sizes: [1.0, 2], from: 3.0}")
    assert (type(sizes["sizes"][0]), sizes["from"], type(sizes["from"])) == (float, 3, int)

"""Answers are printed group by group; what is wrong with an image stands where its answer would have stood."""

import json
from pathlib import Path

import pytest
import torch

from attnkit.errors import DataError
from attnkit.predict.image_answers import AnswerTable, ImageAnswer, Printed, answer_pixels, json_lines, print_answers
from attnkit.predict.image_inputs import Decoded

GROUPS = [[ImageAnswer("a", ["x", "y"]), ImageAnswer("b", problem="b: bad")], [ImageAnswer("c", ["z"])]]


def names(answers):
    return "".join(f"{answer.name}\n" for answer in answers)


@pytest.mark.parametrize(("name_problems", "errors"), [(True, "b: bad\n"), (False, "")])
def test_answers_are_printed_and_counted(capfd, name_problems, errors):
    printed = print_answers(GROUPS, names, name_problems=name_problems)
    assert printed == Printed(total=3, failed=1)
    assert capfd.readouterr() == ("a\nb\nc\n", errors)


def test_a_group_is_printed_before_the_next_is_asked_for(capfd):
    def groups():
        yield GROUPS[0]
        assert capfd.readouterr().out == "a\nb\n"
        yield GROUPS[1]

    print_answers(groups(), names, name_problems=False)
    assert capfd.readouterr().out == "c\n"


def test_bytes_of_names_that_are_not_utf_8_go_out_as_they_came_in(capfdbinary):
    print_answers([[ImageAnswer("\udcff")]], names, name_problems=False)
    assert capfdbinary.readouterr().out == b"\xff\n"


def test_problems_are_an_error_at_the_end():
    Printed(total=3, failed=0).check()
    with pytest.raises(
        DataError, match=r"^2 of 3 images could not be processed; expected images; fix or remove them, "
    ):
        Printed(total=3, failed=2).check()


def test_a_table_has_its_heading_once_and_names_an_image_in_its_first_row():
    table = AnswerTable(["letter"], lambda answer: [[letter] for letter in answer.found])
    assert table.write([GROUPS[0][1]]) == ""
    assert table.write(GROUPS[0]) == "file  letter\na     x\n      y\n"
    assert table.write(GROUPS[1]) == "c     z\n"


def test_json_lines_have_files_after_what_was_found():
    found = ImageAnswer("a", ["x"], (2, 3), {"mask": Path("m/a.png")})
    good, bad = json_lines([found, GROUPS[0][1]], "letters", lambda letter: {"is": letter}).splitlines()
    assert good == '{"input": "a", "height": 2, "width": 3, "letters": [{"is": "x"}], "mask": "m/a.png"}'
    assert json.loads(bad) == {"input": "b", "error": "b: bad"}


def test_images_are_numbered_with_the_bad_ones():
    def answer(name, number, pixels):
        return ImageAnswer(name, [number], tuple(pixels.shape[1:]))

    image = torch.zeros(3, 2, 5)
    groups = [[Decoded("a", image, None), Decoded("b", None, "b: bad")], [Decoded("c", image, None)]]
    assert list(answer_pixels(groups, answer, enough_memory="")) == [
        [ImageAnswer("a", [1], (2, 5)), ImageAnswer("b", problem="b: bad")], [ImageAnswer("c", [3], (2, 5))]
    ]  # fmt: skip

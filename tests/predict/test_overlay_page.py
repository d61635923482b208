"""Legends fill the room that there is, whatever the names."""

from attnkit.predict.overlay_page import Entry, Legend


def legend(count, room, name="class {}"):
    return Legend(
        [Entry((9, 9, 9), name.format(k), f"{k}.5 %") for k in range(count)], least_width=room, font_size=13
    ).render()


def test_legends_fill_the_room_in_columns():
    assert legend(1, 400).width == 400
    assert legend(11, 900).height < legend(11, 300).height
    assert legend(150, 900).height < 40 * 21 + 2 * 13
    assert legend(1, 50).width > 100, "one column needs more than there is"


def test_names_of_any_kind_fit_into_a_legend():
    assert legend(2, 50, "x" * 500 + "{}").width < 400
    assert legend(2, 50, "a\n\x1b{}").height == legend(2, 50).height
    assert legend(2, 400, "道路 {}").width == 400

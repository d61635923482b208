"""The contract of `attnkit segment`: a mask per image, in order, and what is written is whole and lost nowhere."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.cli.inference_options import check_inference, inference_with
from attnkit.data.formats.mask_png import indexed
from attnkit.errors import AttnkitError
from attnkit.predict.decode_ahead import Decoded
from attnkit.predict.legend import Entry, Legend
from attnkit.predict.mask_overlay import draw_overlay
from attnkit.predict.saved_masks import MaskFolder
from attnkit.predict.segmented_images import Answer, Area, AreaTable, areas_of, as_json, percent, segment_images
from attnkit.recipes.segmentation.recipe import InferenceConfig
from tests.recipes.scene_runs import CLASSES, DRAWN, scene_run, striped, write_stripes

COLOURS = np.array(DRAWN, dtype=np.uint8)
LABELS = np.array([[0, 0, 2, 2, 2], [0, 2, 2, 2, 2], [1, 1, 2, 2, 2]], dtype=np.uint8)
PHOTO = np.full((3, 5, 3), 100, dtype=np.uint8)

# What is said


def test_areas_are_of_the_classes_that_are_there_largest_first():
    areas = areas_of(LABELS, ["a", "b", "c", "d"])
    assert areas == [Area(2, "c", 10, 10 / 15), Area(0, "a", 3, 3 / 15), Area(1, "b", 2, 2 / 15)]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.00 %"), (0.00004, "<0.01 %"), (0.00005, "0.01 %"), (0.12345, "12.35 %"), (1, "100.00 %")]
)
def test_shares_for_people(share, text):
    assert percent(share) == text


ROAD, SKY = Area(3, "grüne Straße", 123456, 0.9876543), Area(0, 'sky "x"', 1, 1e-7)
ANSWERS = [
    Answer("x/ä.jpg", (7, 11), [ROAD, SKY], (Path("m/ä.png"), Path("m/ä_overlay.png"))),
    Answer("y", (5, 3), [SKY]),
]


def test_table():
    table = AreaTable()
    assert table.write(Answer("bad", problem="bad: empty")) == ""
    assert table.write(ANSWERS[0]) == (
        "file     class            area  pixels\n"
        "x/ä.jpg  grüne Straße  98.77 %  123456\n"
        '         sky "x"       <0.01 %       1\n'
    )
    assert table.write(ANSWERS[1]) == 'y        sky "x"       <0.01 %       1\n'


def test_json_lines():
    first, second, bad = (as_json(one) for one in [*ANSWERS, Answer("z", problem="z: empty")])
    assert "grüne Straße" in first
    assert json.loads(first) == {
        "input": "x/ä.jpg",
        "height": 7,
        "width": 11,
        "areas": [
            {"class": "grüne Straße", "index": 3, "pixels": 123456, "share": 0.987654},
            {"class": 'sky "x"', "index": 0, "pixels": 1, "share": 1e-07},
        ],
        "mask": "m/ä.png",
        "overlay": "m/ä_overlay.png",
    }
    assert list(json.loads(second)) == ["input", "height", "width", "areas"]
    assert json.loads(bad) == {"input": "z", "error": "z: empty"}
    assert [one.count("\n") for one in (first, second, bad)] == [1, 1, 1]


class FakeSegmenter:
    class_names = ("a", "b")

    def segment(self, pixels):
        if pixels.shape[1] == 7:
            raise torch.OutOfMemoryError("none left")
        if pixels.shape[1] == 11:
            raise RuntimeError("bug")
        return np.zeros(pixels.shape[1:], dtype=np.uint8)


def image(height):
    return torch.zeros(3, height, 2, dtype=torch.uint8)


def test_answers_stand_where_their_images_stood():
    groups = [[Decoded("p", image(3), None), Decoded("q", None, "q: bad")], [Decoded("r", image(5), None)]]
    answers = list(segment_images(FakeSegmenter(), groups, None))
    assert [(one.name, one.size, one.problem) for one in answers] == [
        ("p", (3, 2), None), ("q", (0, 0), "q: bad"), ("r", (5, 2), None)
    ]  # fmt: skip


def test_an_image_for_which_there_is_no_memory():
    groups = [[Decoded("p", image(7), None), Decoded("q", image(3), None)]]
    first, second = segment_images(FakeSegmenter(), groups, None)
    assert first.problem == (
        "p: 7x2 pixels need more memory than there is; expected room for one window; name a smaller one with --window"
    )
    assert second.problem is None


def test_a_bug_is_no_bad_image():
    with pytest.raises(RuntimeError, match=r"^bug$"):
        list(segment_images(FakeSegmenter(), [[Decoded("p", image(11), None)]], None))


# Options


def test_options_change_the_recipe_s_way():
    config = InferenceConfig(window=(5, 7), scales=(2.0,), flip=True)
    assert inference_with(config, scales=None, flip=None, window=None, overlap=None) == config
    assert inference_with(config, scales="0.75,1, 1.25", flip=False, window="96x128", overlap=0.5) == InferenceConfig(
        window=(96, 128), overlap=0.5, scales=(0.75, 1.0, 1.25), flip=False
    )
    assert check_inference(scales=None, flip=None, window="whole", overlap=None) == {"window": None}
    assert check_inference(scales=None, flip=None, window="512", overlap=None) == {"window": (512, 512)}


# Pictures


def test_masks_hold_the_numbers_of_classes_in_8_bits(tmp_path):
    indexed(LABELS, COLOURS).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask), LABELS)
        assert np.array_equal(np.array(mask.convert("RGB")), COLOURS[LABELS])
    header = (tmp_path / "a.png").read_bytes()[16:26]
    assert header[8:] == bytes([8, 3]), "8 bits, palette"


def overlay(labels, *, alpha=0.5, names=CLASSES, photo=None):
    photo = np.full((*labels.shape, 3), 100, dtype=np.uint8) if photo is None else photo
    return draw_overlay(photo, labels, areas_of(labels, names), COLOURS, alpha=alpha)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, (100, 100, 100)), (0.5, (80, 90, 150)), (1.0, (60, 80, 200))])
def test_overlays_mix_photograph_and_colour(alpha, expected):
    labels = np.full((300, 500), 2, dtype=np.uint8)
    labels[:, :100] = 0
    picture = overlay(labels, alpha=alpha)
    assert picture.size[0] == 500
    assert picture.getpixel((300, 150)) == pytest.approx(expected, abs=1)
    assert picture.getpixel((100, 150)) != picture.getpixel((101, 150)) == picture.getpixel((99 + 150, 150))
    assert min(picture.getpixel((100, 150))) > max(expected[0], expected[1]), "a line between classes is bright"


def test_the_legend_has_a_swatch_for_each_class_that_is_there():
    labels = np.full((300, 500), 2, dtype=np.uint8)
    labels[:, :100] = 0
    legend = np.array(overlay(labels))[300:]
    colours = {tuple(colour) for colour in legend.reshape(-1, 3).tolist()}
    assert {DRAWN[0], DRAWN[2]} <= colours
    assert DRAWN[1] not in colours
    blue, red = (np.argwhere((legend == DRAWN[k]).all(-1)).min(0) for k in (2, 0))
    assert tuple(blue) < tuple(red) or blue[1] < red[1], "the largest first"


@pytest.mark.parametrize(
    ("size", "expected"),
    [((7, 11), (308, 484)), ((480, 31), (480, 31)), ((100, 8192), (50, 4096)), ((9000, 3), (4096, 1))],
)
def test_small_images_are_enlarged_and_large_ones_reduced(size, expected):
    picture = overlay(np.zeros(size, dtype=np.uint8))
    assert picture.height > expected[0]
    assert picture.width >= expected[1]
    shown = np.array(picture)[: expected[0]]
    assert ((shown == (150, 80, 80)).all(-1).sum(axis=1) == expected[1]).all()


def legend(count, room, name="class {}"):
    return Legend([Entry((9, 9, 9), name.format(k), f"{k}.5 %") for k in range(count)], room=room, text=13).draw()


def test_legends_fill_the_room_in_columns():
    assert legend(1, 400).width == 400
    assert legend(11, 900).height < legend(11, 300).height
    assert legend(150, 900).height < 40 * 21 + 2 * 13
    assert legend(1, 50).width > 100, "one column needs more than there is"


def test_names_of_any_kind_fit_into_a_legend():
    assert legend(2, 50, "x" * 500 + "{}").width < 400
    assert legend(2, 50, "a\n\x1b{}").height == legend(2, 50).height
    assert legend(2, 400, "道路 {}").width == 400


# Files


def opened(path):
    with Image.open(path) as picture:
        picture.load()
        return picture


def saved(folder, name, inputs=()):
    pixels = torch.from_numpy(PHOTO).permute(2, 0, 1)
    folder = folder if isinstance(folder, MaskFolder) else MaskFolder(folder, inputs, COLOURS, alpha=0.5)
    return [str(path) for path in folder.save(name, pixels, LABELS, areas_of(LABELS, CLASSES))]


def test_files_of_a_named_image(tmp_path):
    mask, overlay = saved(tmp_path / "masks", "some/where/a.b.jpg")
    assert [mask, overlay] == [str(tmp_path / "masks/a.b.png"), str(tmp_path / "masks/a.b_overlay.png")]
    assert np.array_equal(np.array(opened(mask)), LABELS)
    assert opened(overlay).mode == "RGB"
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"a.b.png", "a.b_overlay.png"}


def test_folders_are_mirrored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/x").mkdir(parents=True)
    folder = MaskFolder(Path("masks"), ["photos", "-"], COLOURS, alpha=0.5)
    assert saved(folder, "photos/x/a.jpg")[0] == "masks/x/a.png"
    assert saved(folder, "photos/a.jpg")[0] == "masks/a.png"
    assert saved(folder, "other/x/c.jpg")[0] == "masks/c.png"


def test_several_folders_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    folder = MaskFolder(Path("masks"), ["one", "two"], COLOURS, alpha=0.5)
    assert [saved(folder, name)[0] for name in ("one/a.jpg", "two/a.jpg")] == ["masks/one/a.png", "masks/two/a.png"]


def test_no_image_takes_the_files_of_another(tmp_path):
    folder = MaskFolder(tmp_path, [], COLOURS, alpha=0.5)
    names = ["p/a.jpg", "q/a.jpg", "q/A.png", "r/a_overlay.png", "s/a_2.jpg"]
    files = [Path(file).name for name in names for file in saved(folder, name)]
    assert files == [
        "a.png", "a_overlay.png", "a_2.png", "a_2_overlay.png", "A_3.png", "A_3_overlay.png",
        "a_overlay_2.png", "a_overlay_2_overlay.png", "a_2_2.png", "a_2_2_overlay.png",
    ]  # fmt: skip


def test_images_are_never_written_over(tmp_path):
    photo = write_stripes(tmp_path / "a.png", "red")
    before = photo.read_bytes()
    assert saved(tmp_path, str(photo))[0] == str(tmp_path / "a_2.png")
    folder = MaskFolder(tmp_path, [], COLOURS, alpha=0.5)
    folder.spare([str(photo)])
    assert saved(folder, "elsewhere/a.jpg")[0] == str(tmp_path / "a_2.png")
    assert photo.read_bytes() == before


def test_a_second_call_writes_the_same_files_again(tmp_path):
    assert saved(tmp_path, "p/a.jpg") == saved(tmp_path, "p/a.jpg")


@pytest.mark.parametrize("inside", ["", "masks", "masks/deep"])
def test_masks_do_not_go_where_images_are_looked_for(tmp_path, inside):
    with pytest.raises(AttnkitError, match=re.escape(f"--save {tmp_path / inside}: lies in {tmp_path}, whose images")):
        MaskFolder(tmp_path / inside, ["a.png", str(tmp_path)], COLOURS, alpha=0.5)


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path / "masks", "a.jpg")
    assert list((tmp_path / "masks").iterdir()) == []


# The command


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A run, and pictures of stripes at several depths."""
    monkeypatch.chdir(tmp_path)
    scene_run(tmp_path / "runs/stripes")
    write_stripes(tmp_path / "a.png", "red", "red", "blue")
    write_stripes(tmp_path / "more/a.png", "green", "blue", "green", "green")
    write_stripes(tmp_path / "more/deep/b.png", "blue", height=20)
    return tmp_path


def segment(*arguments, stdin=None):
    return CliRunner().invoke(app, ["segment", *arguments, "--precision", "float32"], input=stdin)


def answers_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_newest_run_and_nothing_is_written(runs):
    before = sorted(runs.rglob("*"))
    result = segment("a.png", "more")
    assert result.exit_code == 0, result.output
    assert result.stderr == "using the newest run, runs/stripes\n"
    assert result.stdout == (
        "file   class     area  pixels\n"
        "a.png  red    66.67 %      96\n"
        "       blue   33.33 %      48\n"
        "more/a.png  green  75.00 %     144\n"
        "            blue   25.00 %      48\n"
        "more/deep/b.png  blue   100.00 %      80\n"
    )
    assert sorted(runs.rglob("*")) == before


def test_json_files_and_bad_images(runs):
    (runs / "more/broken.jpg").write_bytes((runs / "a.png").read_bytes()[:60])
    result = segment("--json", "more", "none.png", "a.png", "--save", "masks", "--run", "runs/stripes")
    answers = answers_of(result)
    assert [answer["input"] for answer in answers] == [
        "more/a.png", "more/broken.jpg", "more/deep/b.png", "none.png", "a.png"
    ]  # fmt: skip
    assert [answer["error"][:12] for answer in answers if "error" in answer] == ["more/broken.", "none.png: no"]
    assert [answer["mask"] for answer in answers if "mask" in answer] == [
        "masks/a.png", "masks/deep/b.png", "masks/a_2.png"
    ]  # fmt: skip
    assert answers[0]["areas"][0] == {"class": "green", "index": 1, "pixels": 144, "share": 0.75}
    mask = opened(runs / "masks/a.png")
    assert np.array_equal(np.array(mask), striped("green", "blue", "green", "green")[1])
    assert mask.getpalette()[:9] == [value for colour in DRAWN for value in colour]
    assert opened(answers[0]["overlay"]).width == 480
    assert result.stderr == (
        "2 of 5 images could not be segmented; expected images; mend or remove them, the others are done\n"
    )
    assert result.exit_code == 2


def test_bad_images_in_the_table_are_named_on_stderr(runs):
    result = segment("none.png", "a.png", "--run", "runs/stripes")
    assert result.exit_code == 2
    assert "none.png" not in result.stdout
    first, last = result.stderr.splitlines()
    assert first.startswith("none.png: no such file;")
    assert last.startswith("1 of 2 images could not be segmented;")


def test_paths_on_stdin(runs):
    result = segment("-", "--run", "runs/stripes", "--json", "--save", "masks", stdin="more/a.png\na.png\n")
    assert [(answer["input"], answer["mask"]) for answer in answers_of(result)] == [
        ("more/a.png", "masks/a.png"), ("a.png", "masks/a_2.png")
    ]  # fmt: skip


def test_an_input_that_comes_later_is_not_written_over(runs):
    before = (runs / "a.png").read_bytes()
    result = segment("more/a.png", "a.png", "--save", ".", "--json", "--run", "runs/stripes")
    assert [answer["mask"] for answer in answers_of(result)] == ["a_2.png", "a_3.png"]
    assert (runs / "a.png").read_bytes() == before


def test_every_way_to_look(runs):
    plain = segment("more", "--run", "runs/stripes", "--json").stdout
    ways = ["--window", "8x12", "--overlap", "0.5", "--scales", "1,2", "--flip"]
    assert segment("more", "--run", "runs/stripes", "--json", *ways).stdout == plain


def test_options_reach_the_segmenter(runs, monkeypatch):
    import attnkit.recipes.segmentation.segmenter as module

    monkeypatch.setattr(module, "load_segmenter", lambda recipe, run, **options: told.append((recipe, options)))
    told = []
    segment("a.png", "--run", "runs/stripes", "--no-flip", "--window", "9x7", "--device", "cpu")
    ((recipe, options),) = told
    assert recipe.inference == InferenceConfig(window=(9, 7), flip=False)
    assert (options["device"], options["precision"]) == ("cpu", "float32")
    assert options["weights"] == Path("runs/stripes/model.safetensors")


def test_alpha(runs):
    for alpha in ("0", "1"):
        segment("more/deep", "--save", f"masks{alpha}", "--alpha", alpha, "--run", "runs/stripes")
    photo, colours = (opened(runs / f"masks{alpha}/b_overlay.png").getpixel((50, 50)) for alpha in (0, 1))
    assert colours == DRAWN[2]
    assert photo == pytest.approx((5, 30, 245), abs=12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--precision", "half"], "--precision: there is no 'half'; expected auto, float32 or bfloat16;"),
        (["a.png", "--alpha", "1.5"], "--alpha 1.5: no share; expected 0 (the photograph) to 1 (colours); write 0.5"),
        (["a.png", "--overlap", "1"], "--overlap 1: no share of a window that leaves something new; expected 0 or mor"),
        (["a.png", "--window", "0x5"], "--window 0x5: no size; expected height and width in pixels, or whole; write 5"),
        (["a.png", "--window", "5*5"], "--window 5*5: no size; expected height and width in pixels, or whole; write 5"),
        (["a.png", "--scales", "1,"], "--scales 1,: not a list of sizes; expected numbers above 0, up to 8, with comm"),
        (["a.png", "--scales", "0"], "--scales 0: not a list of sizes; expected numbers above 0, up to 8, with commas"),
        (["a.png", "--scales", "nan"], "--scales nan: not a list of sizes; expected numbers above 0, up to 8, with co"),
        (["a.png", "--run", "nowhere"], "nowhere: no such folder; expected a folder made by attnkit train"),
        (["a.png", "--run", "runs/text"], "runs/text: a translation run; expected a segmentation run; name one with -"),
        (["more", "--run", "runs/stripes", "--save", "more/masks"], "--save more/masks: lies in more, whose images ar"),
        (["a.png", "--checkpoint", "gone"], "using the newest run, runs/stripes\ngone: no such file; expected weights"),
    ],
)  # fmt: skip
def test_mistakes(runs, arguments, message):
    (runs / "runs/text").mkdir()
    (runs / "runs/text/recipe.yaml").write_text("task: translation\n")
    result = CliRunner().invoke(app, ["segment", *arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1 + message.count("\n")


def test_a_large_image_is_said_to_be_seen_through_windows(runs, monkeypatch):
    import attnkit.recipes.segmentation.segmenter as module

    load = module.load_segmenter
    monkeypatch.setattr(module, "load_segmenter", lambda *given, **options: load(*given, memory=5_000, **options))
    result = segment("more", "--run", "runs/stripes")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "an image of 12x16 pixels: the whole of it needs about 0.0 GiB, more than 0.0; seen"
    )
    assert result.stderr.count("\n") == 1

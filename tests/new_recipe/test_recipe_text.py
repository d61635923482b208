"""A recipe as YAML: what differs from the defaults, under its reasons."""

import pytest

from attnkit.data.classification.config import ImageFolderConfig
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.engine.config import AdamConfig, CosineConfig, TrainConfig
from attnkit.errors import RecipeError
from attnkit.models.config import SwinConfig, UperNetConfig
from attnkit.new_recipe.recipe_text import recipe_text, refuse_to_overwrite
from attnkit.recipe_file import load
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.segmentation.recipe import SegmentationRecipe


def written(recipe, *reasons, comments=None, shown=()):
    return recipe_text(recipe, reasons, comments=comments, shown=shown)


def read_back(text, folder):
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return load(folder / "recipe.yaml")


def classifier(**train):
    return ClassificationRecipe(
        task="classification",
        name="1e5",
        data=ImageFolderConfig(format="image_folder", path='my "photos": #1'),
        model=SwinConfig(name="swin"),
        train=TrainConfig(steps=7, **train),
    )


@pytest.mark.parametrize(
    "name",
    [
        *("translation/toy", "translation/wmt14_en_de_base", "translation/iwslt14_de_en"),
        *("classification/toy", "classification/deit_s_imagenet1k", "classification/vit_b16_384_pets"),
        *("segmentation/toy", "segmentation/upernet_swin_nano_camvid"),
        *("detection/toy", "detection/htcpp_swin_l_coco", "detection/mask_rcnn_swin_nano_nuclei"),
    ],
)
def test_what_is_written_is_read_back(name, tmp_path):
    recipe = load(name)
    assert read_back(written(recipe, "a reason"), tmp_path) == recipe


def test_the_whole_text():
    recipe = classifier(schedule=CosineConfig(name="cosine", lr=1e-5, warmup_steps=3))
    long = " ".join(["words"] * 30)
    assert written(recipe, "size: 224", long) == (
        "# Made by attnkit recipe new classification. Why it is as it is:\n#\n# - size: 224\n"
        f"# - {' '.join(['words'] * 19)}\n#   {' '.join(['words'] * 11)}\n#\n# What it scores was not measured.\n"
        'task: classification\nname: "1e5"\nattnkit: "0.1"\n'
        "data:\n  format: image_folder\n  path: 'my \"photos\": #1'\n"
        "model:\n  name: swin\n"
        "train:\n  steps: 7\n  schedule: {name: cosine, lr: 1e-5, warmup_steps: 3}\n"
        "  validate_every: 1000\n  save_every: 1000\n  keep_last: 5\n  average_last: 5\n"
    )


def test_a_kind_is_written_even_where_it_is_the_default():
    assert "  optimizer: {name: adam, beta2: 0.997}\n" in written(classifier(optimizer=AdamConfig(beta2=0.997)))


def test_shown_keys_are_written_with_their_defaults(tmp_path):
    text = written(classifier(), shown=("model.depths", "augment.flip", "train.optimizer.name"))
    assert "  depths: [2, 2, 6, 2]\n" in text
    assert "augment:\n  flip: 0.5\n" in text
    assert "  optimizer: {name: adam}\n" in text
    assert read_back(text, tmp_path) == classifier()


def test_comments_stand_above_their_keys(tmp_path):
    comments = {"model": "uncomment this\ninit: {from: runs/x}", "train.steps": "few"}
    text = written(classifier(), comments=comments)
    assert "# uncomment this\n# init: {from: runs/x}\nmodel:\n" in text
    assert "train:\n  # few\n  steps: 7\n" in text
    recipe = read_back(text.replace("# init", "init"), tmp_path)
    assert recipe.init.from_ == "runs/x"


def test_names_of_classes_that_yaml_would_misread(tmp_path):
    def segmenter(classes, **data):
        return SegmentationRecipe(
            task="segmentation",
            name="x",
            data=MaskFilesConfig(format="mask_files", path="d", classes=classes, **data),
            model=UperNetConfig(backbone=SwinConfig(name="swin")),
            train=TrainConfig(steps=1),
        )

    odd = ("no", "1e5", "a: b", "null", "#", "", "ü", " x", "2024-01-01", *(f"class {number}" for number in range(99)))
    recipe = segmenter(odd)
    text = written(recipe)
    assert read_back(text, tmp_path) == recipe
    assert max(map(len, text.splitlines())) <= 120
    two = segmenter({0: "background", 255: "object"}, ignore=())
    text = written(two)
    assert "  classes: {0: background, 255: object}\n  ignore: []\n" in text
    assert read_back(text, tmp_path) == two


def test_several_files_are_refused_by_the_first_that_is_there(tmp_path):
    refuse_to_overwrite(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").write_text("mine")
    with pytest.raises(RecipeError, match=r"/b: exists already; expected to write 2 new files; name another --output"):
        refuse_to_overwrite(tmp_path / "a", tmp_path / "b")

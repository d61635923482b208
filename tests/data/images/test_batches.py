import numpy as np
import pytest
import torch

from attnkit.data.images.batches import EpochBatches, EpochOrder, OneByOne, in_their_order, read_all, read_or_replace
from attnkit.data.images.image_randomness import image_seeds
from attnkit.errors import DataError

ORDER = np.array([4, 0, 3, 1, 2])


class Letters:
    """A letter for each number; some are broken. It keeps what it was asked for."""

    def __init__(self, broken=()):
        self.broken, self.asked = broken, []

    def __call__(self, index):
        self.asked.append(index)
        if index in self.broken:
            raise DataError(f"{index}: broken")
        return "abcde"[index]


class TestOneByOne:
    def test_in_the_order_asked_and_each_once(self):
        letters = Letters(broken=[3])
        read = OneByOne(letters)
        assert read(np.array([4, 3, 0, 4, 3])) == (["e", "a", "e"], {3: "3: broken"})
        assert letters.asked == [4, 3, 0]
        assert read(np.array([0, 1, 0])) == (["a", "b", "a"], {})
        assert letters.asked == [4, 3, 0, 1]

    def test_nothing(self):
        assert OneByOne(Letters())(np.array([], dtype=np.int64)) == ([], {})


class TestReadAll:
    def test_all(self):
        assert read_all(OneByOne(Letters()), np.array([2, 0])) == ["c", "a"]

    def test_each_broken_one_is_named(self):
        with pytest.raises(DataError, match=r"^3: broken\n1: broken$"):
            read_all(OneByOne(Letters(broken=[1, 3])), ORDER)

    def test_the_first_ten_are_named(self):
        lines = "\n".join(f"{index}: broken" for index in range(10))
        for count, rest in ((10, ""), (13, "\nand 3 more images of one batch cannot be read")):
            with pytest.raises(DataError, match=f"^{lines}{rest}$"):
                read_all(OneByOne(Letters(broken=range(13))), np.arange(count))


class TestReadOrReplace:
    def test_the_next_of_the_order_that_is_not_broken(self):
        letters = Letters(broken=[0, 3])
        images, places, broken = read_or_replace(OneByOne(letters), ORDER, np.array([0, 1, 3]))
        assert (images, places.tolist()) == (["e", "b", "b"], [0, 3, 3])
        assert broken == {0: "0: broken", 3: "3: broken"}
        assert letters.asked == [4, 0, 1, 3]

    def test_after_the_last_comes_the_first(self):
        images, places, _ = read_or_replace(OneByOne(Letters(broken=[2])), ORDER, np.array([3, 4]))
        assert (images, places.tolist()) == (["b", "e"], [3, 0])

    def test_all_broken(self):
        with pytest.raises(DataError, match=r"^0: broken\n3: broken\n1: broken\n2: broken\n4: broken$"):
            read_or_replace(OneByOne(Letters(broken=range(5))), ORDER, np.array([1]))

    @pytest.mark.parametrize("reader", [OneByOne, lambda read: lambda indices: OneByOne(read)(indices)])
    def test_a_hundred_broken_in_a_row_are_too_many(self, reader):
        order = np.arange(200)
        with pytest.raises(DataError, match=r"9: broken\nand 90 more images of one batch cannot be read$"):
            read_or_replace(reader(lambda index: Letters(broken=range(100))(index)), order, np.array([0]))
        images, *_ = read_or_replace(reader(lambda i: i if i > 98 else Letters(range(99))(i)), order, np.array([0]))
        assert images == [99]


ZERO = np.zeros(5, dtype=np.int64)


def read(index):
    """An image of its own size, which is its number."""
    if index in (3, 8):
        raise DataError(f"image {index}: broken")
    return torch.full((1, index + 1), index)


def order_of(order, epoch):
    """All images of an epoch, in their order."""
    return [order.draw((epoch, number), OneByOne(int)).indices for number in range(order.batches_per_epoch)]


class TestOrder:
    def test_is_drawn_from_seed_and_epoch(self):
        order = EpochOrder(23, batch_size=5, seed=7)
        assert order.batches_per_epoch == 4
        for epoch in (2, 0, 2):
            shuffled = np.random.default_rng([7, epoch, 0]).permutation(23)
            assert np.concatenate(order_of(order, epoch)).tolist() == shuffled[:20].tolist()

    def test_few_images_make_one_batch(self):
        order = EpochOrder(3, batch_size=5, seed=7)
        assert [sorted(indices.tolist()) for indices in order_of(order, 0)] == [[0, 1, 2]]

    def test_seeds_are_those_of_image_and_epoch(self):
        drawn = EpochOrder(23, batch_size=5, seed=7).draw((2, 1), OneByOne(int))
        assert drawn.images == drawn.indices.tolist()
        assert drawn.seeds.tolist() == image_seeds(7, 2, drawn.indices, ZERO).tolist()
        assert drawn.broken == {}

    def test_repeats_stand_side_by_side_and_have_seeds_of_their_own(self):
        order = EpochOrder(23, batch_size=5, seed=7, repeats=3)
        first, second, *_ = np.random.default_rng([7, 0, 0]).permutation(23)
        drawn = order.draw((0, 0), OneByOne(int))
        assert drawn.indices.tolist() == [first] * 3 + [second] * 2
        assert drawn.seeds.tolist() == image_seeds(7, 0, drawn.indices, np.array([0, 1, 2, 0, 1])).tolist()
        assert order.draw((0, 1), OneByOne(int)).indices[0] == second

    def test_what_stands_in_is_varied_by_its_own_seed(self):
        drawn = EpochOrder(11, batch_size=11, seed=7).draw((0, 0), OneByOne(read))
        assert drawn.broken == {index: f"image {index}: broken" for index in (3, 8)}
        assert [image.shape[1] - 1 for image in drawn.images] == drawn.indices.tolist()
        assert drawn.seeds.tolist() == image_seeds(7, 0, drawn.indices, np.zeros(11, dtype=np.int64)).tolist()

    def test_random_numbers_of_a_batch(self):
        order = EpochOrder(23, batch_size=5, seed=7)
        assert order.batch_rng((2, 3)).random() == np.random.default_rng([7, 2, 3, 1]).random()


class Made:
    """Makes batches of images of different sizes."""

    def __init__(self, count):
        self.order = EpochOrder(count, batch_size=5, seed=7)

    def __call__(self, job):
        drawn = self.order.draw(job, OneByOne(read))
        return [tuple(image.shape) for image in drawn.images], drawn.broken


def batches(count=23, *, workers=0, warn=None):
    made = Made(count)
    return EpochBatches(made, made.order.batches_per_epoch, workers=workers, warn=warn)


class TestBatches:
    def test_an_epoch_can_be_entered_anywhere(self):
        epoch = list(batches().batches(1))
        assert len(epoch) == 4
        assert list(batches().batches(1, start=3)) == epoch[3:]
        assert list(batches().batches(1, start=4)) == []

    @pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
    def test_broken_images_are_told_of_once(self, workers):
        said = []
        made = batches(11, workers=workers, warn=said.append)
        for epoch in range(4):
            assert list(made.batches(epoch)) == list(batches(11).batches(epoch))
        assert sorted(said) == [f"image {index}: broken; another image replaces it" for index in (3, 8)]


def test_in_their_order():
    assert [indices.tolist() for indices in in_their_order(8, 3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert in_their_order(0, 3) == []

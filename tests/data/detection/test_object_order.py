import numpy as np
import pytest

from attnkit.data.detection.object_order import BatchLimit, ObjectOrder
from attnkit.data.detection.resizing import padded
from attnkit.data.images.image_randomness import image_seeds

SIZES = [(40, 60), (60, 40), (40, 60), (50, 50), (90, 33)]


def as_they_are(sizes, seeds):
    return padded(sizes)


def drawn(sizes, seeds):
    """Up to eight times as high."""
    return padded(sizes * np.stack([seeds % 8 + 1, np.ones_like(seeds)], axis=1).astype(np.int64))


def order_of(count=23, *, images=4, pixels=None, shown=as_they_are, seed=3, sizes=SIZES):
    sizes = np.array([sizes[index % len(sizes)] for index in range(count)])
    return ObjectOrder(np.arange(count) * 10, sizes, shown, limit=BatchLimit(images, pixels), seed=seed)


def batches_of(order, epoch):
    """The images of each batch."""
    found = [order.draw((epoch, number)) for number in range(order.batches_per_epoch)]
    return [images[:count].tolist() for images, count in found]


def all_of(batches):
    return [image for batch in batches for image in batch]


class TestBatchLimit:
    def test_by_hand(self):
        shapes = np.array([(10, 20), (20, 10), (10, 10), (30, 10), (5, 5), (5, 5), (5, 5)])
        rows = np.array([2, 0, 1, 3, 6, 5, 4])
        for limit, expected in (
            (BatchLimit(3, None), [[2, 0, 1], [3, 6, 5], [4]]),
            (BatchLimit(7, None), [[2, 0, 1, 3, 6, 5, 4], []]),
            (BatchLimit(8, None), [[2, 0, 1, 3, 6, 5, 4]]),
            (BatchLimit(3, 1200), [[2, 0, 1], [3, 6, 5], [4]]),  # three of 20 x 20, three of 30 x 10
            (BatchLimit(3, 1199), [[2, 0], [1, 3, 6], [5, 4]]),  # three of 20 x 20 are 1200
            (BatchLimit(2, 300), [[2], [0], [1], [3], [6, 5], [4]]),  # two of 10 x 20 are 400
        ):
            found = limit.split(rows, shapes)
            assert [batch.tolist() for batch in [*found.rows, found.spare]] == expected

    def test_an_image_that_is_too_large_is_alone(self):
        found = BatchLimit(4, 100).split(np.arange(3), np.array([(10, 5), (50, 50), (10, 5)]))
        assert [batch.tolist() for batch in [*found.rows, found.spare]] == [[0], [1], [2]]


class TestOrder:
    def test_each_image_once_at_most(self):
        order = order_of()
        assert order.batches_per_epoch == 5
        for epoch in range(3):
            batches = batches_of(order, epoch)
            assert list(map(len, batches)) == [4] * 5
            assert len(set(all_of(batches))) == 20

    def test_an_epoch_shuffles_anew(self):
        order = order_of()
        assert batches_of(order, 0) == batches_of(order_of(), 0)
        assert batches_of(order, 1) != batches_of(order, 0)
        assert batches_of(order, 0) == batches_of(order_of(), 0)
        assert batches_of(order_of(seed=4), 0) != batches_of(order, 0)

    def test_few_images_make_one_batch(self):
        assert list(map(sorted, batches_of(order_of(3, images=5), 0))) == [[0, 10, 20]]

    @pytest.mark.parametrize("count", [4, 7, 20, 22, 23])
    def test_as_many_full_batches_as_can_be(self, count):
        assert order_of(count).batches_per_epoch == count // 4

    def test_shapes_stay_together(self):
        """Of 40 upright and 60 other ones; what is left of both is mixed."""
        order = order_of(100, images=7, sizes=[(90, 40), (90, 40), (40, 90), (40, 90), (40, 40)])
        mixed = []
        for epoch in range(4):
            kinds = [{index // 10 % 5 < 2 for index in batch} for batch in batches_of(order, epoch)]
            assert len(kinds) == 14
            mixed.append(sum(len(kind) == 2 for kind in kinds))
            assert kinds[:8] not in ([{True}] * 8, [{False}] * 8)  # batches are shuffled too
        assert mixed == [1] * 4

    def test_seeds(self):
        indices = np.array([20, 70])
        expected = image_seeds(3, 5, indices, np.zeros(2, dtype=np.int64))
        assert order_of().seeds(5, indices).tolist() == expected.tolist()


class TestPixels:
    BOUND = 6 * 64 * 64 * 4

    def test_no_batch_has_more_and_most_images_are_seen(self):
        order = order_of(200, pixels=self.BOUND, shown=drawn, images=6)
        assert 45 < order.batches_per_epoch < 100
        for epoch in range(6):
            indices = np.arange(200) * 10
            sizes = np.array([SIZES[row % 5] for row in range(200)])
            shown = drawn(sizes, order.seeds(epoch, indices))
            batches = batches_of(order, epoch)
            assert len(batches) == order.batches_per_epoch
            for batch in batches:
                assert len(batch) * shown[np.array(batch) // 10].max(0).prod() <= self.BOUND
            seen = all_of(batches)
            assert len(set(seen)) == len(seen) > 170
            if epoch == 0:
                assert len(seen) > 194

    def test_too_few_batches_are_halved_and_too_many_left_out(self):
        orders = [order_of(200, pixels=self.BOUND, shown=drawn, images=6, seed=seed) for seed in range(4)]
        seen = [len(all_of(batches_of(order, epoch))) for order in orders for epoch in range(1, 5)]
        assert (max(seen) == 200, min(seen) < 195) == (True, True)


class TestStandIns:
    def test_all_others_once_and_those_that_fit_first(self):
        sizes = [(40, 60), (60, 40), (300, 40), (40, 300), (33, 33)]
        order = order_of(sizes=sizes)
        shown = as_they_are(np.array([sizes[row % 5] for row in range(23)]), None)
        for number, batch in enumerate(batches_of(order, 0)):
            images, count = order.draw((0, number))
            others = images[count:] // 10
            assert (len(images), len(set(images.tolist()))) == (23, 23)
            fits = (shown[others] <= shown[np.array(batch) // 10].max(0)).all(1)
            assert (np.diff(fits.astype(int)) <= 0).all()

    def test_they_follow_in_the_order(self):
        order = order_of(sizes=[(40, 40)])
        batches = batches_of(order, 0)
        images = order.draw((0, 3))[0].tolist()
        assert images[:8] == all_of(batches[3:])
        assert sorted(images[8:11]) == sorted(set(range(0, 230, 10)) - set(all_of(batches)))  # those in no batch
        assert images[11:] == all_of(batches[:3])

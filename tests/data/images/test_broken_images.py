import numpy as np
import pytest

from attnkit.data.images.broken_images import OneByOne, read_all, read_or_replace
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

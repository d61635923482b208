"""Text to learn tokenizers from."""

import random

from attnkit.data.text.pair_files import embedded_tatoeba

TEXT = "the cat sat on a mat while Größe über straße dogs ran through many green fields under clouds"


def corpus(count=300, seed=0):
    generator = random.Random(seed)
    return [" ".join(generator.choices(TEXT.split(), k=generator.randint(1, 9))) for _ in range(count)]


def english():
    """Text with more parts of words in it than `corpus` has."""
    return embedded_tatoeba("valid").src_lines()

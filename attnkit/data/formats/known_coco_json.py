"""The last jsons of COCO that were read, so that one command does not take the same apart several times.

It opens a set to check it, for each split, to train and to score; and train2017's takes a third of a minute each time.
"""

from __future__ import annotations

import hashlib

from attnkit.data.formats.coco_json import CocoJson, read_coco_json

_KEPT = 2
"""That of training and that of validation, which are in use anyway while a model is trained."""
_known: dict[tuple[str, bytes], CocoJson] = {}
"""By name and content, the one that was asked for last at the end. Nobody changes what is in them."""


def known_coco_json(content: bytes, place: str) -> CocoJson:
    """As `read_coco_json`, but one of the last two is not read again.

    Args:
        content: its bytes; a hash of them tells whether it is the same, which a time of change cannot in an archive.
        place: its name in errors.

    Raises:
        DataError: as `read_coco_json`.
    """
    key = place, hashlib.blake2b(content, digest_size=16).digest()
    found = _known.pop(key, None)
    while len(_known) >= _KEPT:  # before another is read, so that there are never more
        del _known[next(iter(_known))]
    _known[key] = found = read_coco_json(content, place) if found is None else found
    return found

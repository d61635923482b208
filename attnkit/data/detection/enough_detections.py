"""How many detections an image needs, by how many objects are on it. Free of torch."""

from dataclasses import dataclass

from attnkit.data.finding import Finding

USUAL_DETECTIONS = 100
"""Detections of an image that AP usually counts, and that a detector gives by default."""


def enough_detections(most_objects: int) -> int:
    """The usual hundred, or a round number of at least twice as many as the fullest image has objects."""
    return next(count for power in range(2, 12) for count in _round(power) if count >= 2 * most_objects)


def _round(power: int) -> tuple[int, int, int]:
    return 10**power, 2 * 10**power, 5 * 10**power


@dataclass(frozen=True)
class DetectionLimits:
    """What bounds how many objects of an image a detector finds; by default as the schema of recipes has it."""

    detections: int = USUAL_DETECTIONS
    """inference.max_detections."""
    proposals: int = 1000
    """model.rpn.proposals: no more objects are found than regions are proposed."""

    @property
    def objects(self) -> int:
        """So many of an image are found at most."""
        return min(self.detections, self.proposals)

    def finding(self, place: str, *, full_images: int, images: int, most_objects: int) -> Finding:
        """The warning of images that have more."""
        what = f"over {self.objects:,} objects are on {full_images:,} of {images:,} images"
        why = f"the detector looks at {self.proposals:,} regions of an image, and finds no more objects"
        if self.detections <= self.proposals:
            why = f"the detector gives the {self.detections:,} surest of an image, and AP looks at no more of a class"
        what += f", {most_objects:,} on the fullest"
        return Finding("warning", place, what, f"{why}: the others count as missed", self._fix(most_objects))

    def _fix(self, most_objects: int) -> str:
        """The numbers of the recipe that are too small, and what they should be."""
        enough = enough_detections(most_objects)
        if self.detections >= most_objects:
            return f"set model.rpn.proposals={enough}"
        fix = f"set inference.max_detections={enough}"
        if self.proposals < enough:
            fix += f" and model.rpn.proposals={enough}"
        return f"{fix}, and score files with --max-detections {enough}"


USUAL_LIMITS = DetectionLimits()

"""The detectors of the R-CNN family: Mask R-CNN, Cascade Mask R-CNN, HTC and HTC++."""

"""What is measured, by name."""

CMC_RANKS = (1, 5, 10, 20)
CMC_LENGTH = 50  # ranks of the curve that is kept
MEASURES = (*(f"rank{k}" for k in CMC_RANKS), "mAP", "mAP_trapezoid", "mINP")
RATES = {"verification": "tar", "open_set": "dir"}  # what is measured at false-accept rates, and what of it

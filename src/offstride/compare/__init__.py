"""Comparison of methods: counts of single images, paired differences with intervals, costs side by side."""

from offstride.compare.comparison import Entry, Resampling, compare, extremes
from offstride.compare.costs import measure_costs
from offstride.compare.counts import WIDTHS, ImageCounts, count_images, count_pixels
from offstride.compare.statistics import ScoreNames, image_choices, percentiles, student_interval

__all__ = [
    "WIDTHS",
    "Entry",
    "ImageCounts",
    "Resampling",
    "ScoreNames",
    "compare",
    "count_images",
    "count_pixels",
    "extremes",
    "image_choices",
    "measure_costs",
    "percentiles",
    "student_interval",
]

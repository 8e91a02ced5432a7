"""Arrays in, pictures and pages out: label maps, offsets, details, reports."""

from offstride.visualize.details import Box, busiest_box, magnify, mark
from offstride.visualize.legend import legend
from offstride.visualize.masks import class_borders, colorize, compare_errors, overlay, save_label_png
from offstride.visualize.offsets import color_wheel, heatmap, offset_arrows, offset_colors, offset_limit
from offstride.visualize.report import Curve, Example, Report, Row, render_report, write_report

__all__ = [
    "Box",
    "Curve",
    "Example",
    "Report",
    "Row",
    "busiest_box",
    "class_borders",
    "color_wheel",
    "colorize",
    "compare_errors",
    "heatmap",
    "legend",
    "magnify",
    "mark",
    "offset_arrows",
    "offset_colors",
    "offset_limit",
    "overlay",
    "render_report",
    "save_label_png",
    "write_report",
]

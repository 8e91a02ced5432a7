"""Arrays to pictures and pages: label maps, offsets, details, reports."""

from offstride.visualize.chart import ChartLine, legend, save_chart
from offstride.visualize.comparison.markdown import comparison_markdown
from offstride.visualize.comparison.page import ComparisonPicture, render_comparison_page, write_comparison_page
from offstride.visualize.decoder_page import (
    DecodedScene,
    DecoderPage,
    DecoderPanel,
    Shot,
    render_decoder_page,
    save_picture,
    write_decoder_page,
)
from offstride.visualize.details import Box, busiest_box, magnify, mark
from offstride.visualize.gates import Effect, class_changes, effect, gate_picture
from offstride.visualize.masks import class_borders, colorize, compare_errors, overlay, save_label_png
from offstride.visualize.offsets import color_wheel, heatmap, offset_arrows, offset_colors, offset_limit
from offstride.visualize.report import Curve, Example, MetricRow, Report, render_report, write_report

__all__ = [
    "Box",
    "ChartLine",
    "ComparisonPicture",
    "Curve",
    "DecodedScene",
    "DecoderPage",
    "DecoderPanel",
    "Effect",
    "Example",
    "MetricRow",
    "Report",
    "Shot",
    "busiest_box",
    "class_borders",
    "class_changes",
    "color_wheel",
    "colorize",
    "compare_errors",
    "comparison_markdown",
    "effect",
    "gate_picture",
    "heatmap",
    "legend",
    "magnify",
    "mark",
    "offset_arrows",
    "offset_colors",
    "offset_limit",
    "overlay",
    "render_comparison_page",
    "render_decoder_page",
    "render_report",
    "save_chart",
    "save_label_png",
    "save_picture",
    "write_comparison_page",
    "write_decoder_page",
    "write_report",
]

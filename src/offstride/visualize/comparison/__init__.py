"""The page that compares upsamplers, and the same as Markdown."""

from offstride.visualize.comparison.markdown import comparison_markdown
from offstride.visualize.comparison.page import ComparisonPicture, render_comparison_page, write_comparison_page

__all__ = ["ComparisonPicture", "comparison_markdown", "render_comparison_page", "write_comparison_page"]

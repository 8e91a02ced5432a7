"""Scenes that are drawn, with exact label maps: streets, and segments of any kind."""

from offstride.data.drawn.scenes import SPLITS, DrawnScenes
from offstride.data.drawn.segments import Segments
from offstride.data.drawn.streets import Streets

__all__ = ["SPLITS", "DrawnScenes", "Segments", "Streets"]

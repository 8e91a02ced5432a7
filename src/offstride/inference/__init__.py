"""From images to fields with any callable: our models or those of other libraries."""

from offstride.inference.whole import predict_whole

__all__ = ["predict_whole"]

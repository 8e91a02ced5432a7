"""What the universal upsampler does for a model: scores, costs and pictures before and after."""

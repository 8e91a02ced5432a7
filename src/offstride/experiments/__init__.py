"""Many trainings and what comes of them: comparisons of upsamplers, the tables of the papers, bounds."""

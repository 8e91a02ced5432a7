"""The page that compares upsamplers, and the same as Markdown."""

"""Reads text from page images: decode, detect, crop, recognize, order. `pipeline.PageReader` runs them in turn."""

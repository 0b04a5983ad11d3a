"""Texts to vectors: multilingual-e5-small."""

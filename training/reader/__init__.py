"""Trains the reader: a network that reads a question and a text together, and says which span of the text answers, or
that none does (`triton_models/read/`)."""

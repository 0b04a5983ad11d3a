"""Engines that a team would otherwise call for embeddings, each with the same weights, in a process of its own."""

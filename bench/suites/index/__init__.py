"""The hybrid index measured beside its peers, on real embeddings."""

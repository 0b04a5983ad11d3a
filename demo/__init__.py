"""`make demo`: the whole of Pinakes on sample documents, or on the user's own."""

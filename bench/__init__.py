"""Measures Pinakes as its users see it: over gRPC, against a stack that it starts as a process of its own."""

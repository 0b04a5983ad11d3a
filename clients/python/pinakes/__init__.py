"""Client, command line and typed gRPC stubs for Pinakes."""

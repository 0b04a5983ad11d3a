"""Generated from protos/pinakes/v1 by `make generate`."""

"""What can be measured; `bench.catalogue` lists it."""

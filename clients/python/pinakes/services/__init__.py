"""The parts of a client: a module for each service that has a name of its own, with its class for asyncio and the one
for threads, method for method the same."""

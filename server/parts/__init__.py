"""The parts of the server, each put together of adapters and use cases: a module for each concern. `server/app.py` puts
the parts together."""

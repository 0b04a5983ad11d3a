"""What happens, in which order, within which limits: use cases, and the ports through which they need the world.

Adapters implement the ports (`*_ports.py`); `server/parts/` wires them. Every method of a port that waits takes a
`Deadline` or has a bound of its own that its docstring states. Failures are raised as `server.domain.errors`.
"""

"""The command `pinakes`."""

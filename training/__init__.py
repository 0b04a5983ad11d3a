"""Trains what Pinakes does not take from others: `python -m training`."""

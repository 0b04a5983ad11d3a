"""Finds personal data in texts and keeps it from being shown, as each tenant wants it.

`finding` says where it stands, `masking` puts a word in its place; both are pure. The other modules do so where texts
are read, kept and shown.
"""

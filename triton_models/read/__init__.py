"""Which piece of a passage answers a question, if any does: multilingual-e5-small, its upper layers trained for it."""

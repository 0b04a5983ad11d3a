"""From pieces of text with boxes to blocks in reading order. Pure; the same for born-digital and recognized pages."""

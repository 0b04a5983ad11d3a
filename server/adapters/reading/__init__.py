"""How each format is read. `server.adapters.document_reader` puts the parts together."""

"""How well passages answer a query: late interaction over the token vectors of multilingual-e5-small."""

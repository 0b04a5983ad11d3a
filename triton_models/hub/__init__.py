"""Encoders and cross-encoders as Hugging Face's repositories hold them: an exported network, a tokenizer, a config."""

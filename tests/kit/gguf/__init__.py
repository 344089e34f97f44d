"""GGUF files for tests of several rooms."""

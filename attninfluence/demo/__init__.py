"""The whole story on texts that every machine has."""

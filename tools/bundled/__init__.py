"""Parts of the script that trains the bundled model."""

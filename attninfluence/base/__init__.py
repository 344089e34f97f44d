"""What any room may need and that needs no room itself."""

"""Who is compared: one file a library, and what runs a library in a process of its own."""

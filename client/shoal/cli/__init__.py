"""The `shoal` command. Thin: it reads files and options, calls the client, and prints."""

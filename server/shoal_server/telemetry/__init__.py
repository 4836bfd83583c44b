"""What an operator sees: structured logs."""

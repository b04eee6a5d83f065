"""The service, as values and calls. Knows no notebook."""

"""What has been made: usable from any script; imports neither IPython nor httpx."""

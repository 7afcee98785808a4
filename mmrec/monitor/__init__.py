"""Monitoring: what a service shows and what is clicked, drift of new items, and off-policy estimates."""

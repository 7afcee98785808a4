"""What a shop shows, what comes of it, and whether it is as it was."""

"""What in a catalogue and its log would mislead a training: duplicates, faults, bots, drift."""

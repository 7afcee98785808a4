"""What comes in: rows, files and pictures, read and checked once."""

"""From a log to a head that serves: an inner validation, what it decides, and the shop's `fit`."""

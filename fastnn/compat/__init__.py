"""Stand-ins for modules that other code was written against."""

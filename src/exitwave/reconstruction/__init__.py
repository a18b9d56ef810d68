"""From a Scan to a Result, in metres and files: set up, iterate, judge when to stop, and write the result."""

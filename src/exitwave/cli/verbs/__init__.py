"""The verbs of the command line, one file each. A file registers its verb with `exitwave.cli.register.verb`."""

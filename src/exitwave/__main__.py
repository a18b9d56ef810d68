"""Run the command line: ``python -m exitwave``."""

from exitwave.cli import main

main()

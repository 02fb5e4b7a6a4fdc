"""The commands of ``python -m fastnn``, one file each: `add_arguments(parser)` and `run(args)`."""

"""The command line: which command, its options, its exit code."""

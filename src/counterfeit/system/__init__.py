"""What the machine and its operating system are like: files, processes, signals, memory, terminals."""

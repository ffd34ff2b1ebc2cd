"""One function per command: what `counterfeit train` and `cf.train` both call."""

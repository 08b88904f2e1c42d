"""What a run needs on a TPU slice, found out without having the slice."""

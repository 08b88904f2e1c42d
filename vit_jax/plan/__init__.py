"""What a run needs on machines that one does not have."""

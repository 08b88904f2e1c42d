"""What a run did and what a model sees, as pictures and pages."""

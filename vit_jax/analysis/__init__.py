"""Pictures and pages about what a run did and what a model attends to."""

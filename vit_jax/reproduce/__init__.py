"""The paper's tables and figures: its numbers, ours, and how to get them."""

"""Using trained models: predictions for images."""

"""What a trained model does on records that it was not trained on: loss, routing, tasks, and a study of the experts."""

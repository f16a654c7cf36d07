"""What runs mean: metrics of predictions, verdicts and scores."""

"""Prediction of labels with a trained model, without torch if the model is exported."""

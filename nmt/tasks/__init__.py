"""What can be trained: translation models and language models, with their objectives."""

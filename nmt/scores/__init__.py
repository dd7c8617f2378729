"""Scores of translations: BLEU, chrF, TER, their intervals and paired tests."""

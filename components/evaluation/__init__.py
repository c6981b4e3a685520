"""Evaluation of models on plain arrays: metrics, intervals, Shapley shares, figures."""

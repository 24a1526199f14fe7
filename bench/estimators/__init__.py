"""Estimators for scikit-learn: the kernels in pipelines, grid searches and cross-validation."""

"""Estimators for scikit-learn: the kernels in pipelines, grid searches and cross-validation."""

try:
    from sklearn.utils.validation import validate_data as validate_data
except ImportError as error:  # without scikit-learn, or with one that has no `validate_data`
    raise ImportError(
        'SGDCurveRegressor and SGDCurveClassifier need scikit-learn 1.9 or newer: pip install "scikit-learn>=1.9"'
    ) from error

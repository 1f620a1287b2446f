"""Estimators of semivalues, one file each; ``mho.estimator`` says what one is."""

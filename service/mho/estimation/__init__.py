"""What several estimators share: how draws become values, and when to stop."""

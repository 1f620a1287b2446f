"""Methods for the tests of jobs."""

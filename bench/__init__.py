"""What is measured, each beside a minimal hand-written script in the same run: `python -m bench`."""

"""Speed and memory of this project beside what a user would take instead, in one run."""

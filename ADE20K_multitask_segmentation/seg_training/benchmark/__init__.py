"""Speed and memory of our networks beside others, measured in one run."""

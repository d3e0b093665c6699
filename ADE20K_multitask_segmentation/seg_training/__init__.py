"""TASFormer's training framework: tasks, data, training and evaluation."""

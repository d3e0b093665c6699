"""What a folder of images and annotations is: found out by looking, and written as a config."""

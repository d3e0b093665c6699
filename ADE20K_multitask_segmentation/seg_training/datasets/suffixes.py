"""What files are called that may be images or label maps."""

__all__ = ["IMAGE_SUFFIXES", "LABEL_MAP_SUFFIXES"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
LABEL_MAP_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")

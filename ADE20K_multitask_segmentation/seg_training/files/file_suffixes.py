"""The suffixes of image and label map files: ``.jpg``, ``.png`` and so on."""

__all__ = ["IMAGE_SUFFIXES", "LABEL_MAP_SUFFIXES", "MASK_SUFFIXES", "UNREAD_SUFFIXES"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
LABEL_MAP_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
MASK_SUFFIXES = (*LABEL_MAP_SUFFIXES, ".jpg", ".jpeg", ".webp")
"""Of pictures whose exact values do not count."""
UNREAD_SUFFIXES = (
    *(".gif", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".jpe"),
    *(".ppm", ".pgm", ".pbm", ".tga", ".psd", ".exr", ".dng", ".cr2", ".nef", ".arw"),
)
"""Of pictures, too: files that a user may expect to be read."""

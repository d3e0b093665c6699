"""Names that mean something to a terminal, a page, a plot, a file system or a config."""

__all__ = ["ODD_NAMES"]

ODD_NAMES = (
    *("[void]", "lane [/left]", ":car:", "$ $", "$\\frac{$", "_hidden", "100 % {sure}"),
    *("a|b `c` *d*", "<script>alert(1)</script>", "R&D", '="1", 2', "# one\ntwo"),
    *("${oc.env:HOME}", "${", "\\${x}", "a/b\\c:d", "..", ".dot. ", "CON", "con"),
    *("汽车", "дорога", "ß", "سيارة", "e\u0301te\u0301", "😀"),
    *("x" * 300, "汽" * 150, "汽" * 149 + "车", "\x1b[31mred", "tab\tbell\a", "---", "null", "1"),
)
"""All different."""

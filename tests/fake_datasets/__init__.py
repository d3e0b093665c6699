"""Small made-up datasets with the real folder and file names, one generator each.

Every generator is ``make(root)``: it draws the same files each time, images that are not square,
every label value and the edge cases of its format.
"""

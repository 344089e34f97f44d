"""What people look at: HTML and SVG without script or network, in light and in dark.

view        a piece with its words and its style sheet, which a notebook shows and `save` writes
words       text made visible and escaped; numbers as they are read
palette, style    colours, and the one style sheet of all pieces
drawing     SVG: lines, text, scales, ticks
pieces      a text cut at its tokens
heatmap, histogram, length, matrix, table, tokens    pieces: data in, one escaped string out
facts       labels and texts in two columns
saving      what has a view, in a notebook; a page or a table in a file
"""

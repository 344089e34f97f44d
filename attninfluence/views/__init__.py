"""What people look at: HTML and SVG without script or network, in light and in dark.

view        a piece with its words and its style sheet, which a notebook shows and `save` writes
words       text made visible and escaped; numbers as they are read
palette, style    colours, and the one style sheet of all pieces
drawing     SVG: lines, text, scales, ticks
table       rows of cells, which scroll by themselves where the page is narrow
heatmap, histogram, tokens    pieces: data in, one escaped string out
pieces      a text cut at its tokens
document, scores    views: what a document's score and a set of scores look like
"""

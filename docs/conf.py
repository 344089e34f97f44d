"""How the documentation is built: `make docs`, which turns every warning into an error.

Nothing is fetched, neither when the site is built nor when it is read: no inventory of another
project, no font, no script of somebody else's server. Equations are MathML.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import attninfluence  # noqa: E402 - found on the path above

# Sphinx reads what lies in docs/ alone, and no links to it.
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
(HERE / "notebooks").mkdir()
for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
    shutil.copy(notebook, HERE / "notebooks")

project = "attninfluence"
author = "the attninfluence contributors"
copyright = author
version = release = attninfluence.__version__

extensions = [
    "myst_nb",  # brings myst_parser
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "check_site",
    "cli_reference",
    "mathml",
    "repository_links",
    "short_names",
]
exclude_patterns = ["_ext", "**.ipynb_checkpoints"]

# -- Markdown and notebooks
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are stored with the outputs that they gave
nb_ipywidgets_js = {}  # else pages with a progress bar would load scripts from a server

# -- The Python reference
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_param = True
add_module_names = False

# Every reference must lead somewhere. These are of other projects, or types that no page describes,
# since the text beside them does.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", pattern)
    for pattern in (
        r"(collections|os|pathlib|re|fractions|numpy|np|pyarrow|pa|pandas|datatrove)\..*",
        r"Any|Callable|Generator|Iterable|Iterator|Mapping|Self|Sequence|PathLike|Path|Fraction",
        r"ArrayLike|NDArray|DataFolderLike|DiskWriter|Document|StructType",
        r"(attninfluence\..*\.)?(Head|Paths|PieceTokenizer|Progress|Shard|SpanChoice|Texts|Tokenizer"
        r"|TokenRows)",
    )
]

# -- The pages
html_theme = "furo"
html_title = f"attninfluence {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {"top_of_page_buttons": []}
smartquotes_action = "D"  # dashes alone: quotation marks are code here
highlight_language = "none"  # a block that names no language is text
copybutton_selector = "div.highlight-python pre, div.highlight-sh pre"

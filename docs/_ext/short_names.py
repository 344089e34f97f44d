"""Types in signatures, which stand there as the code has them: `View`, and not the module it is in.

They are imported for type checkers alone, so that Sphinx cannot tell where they come from.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | None:
    """A link to the one object that is described under such a name, in whichever module."""
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    found = [name for name in domain.objects if name.endswith("." + node["reftarget"])]
    if len(found) != 1:
        return None
    place = (env, node["refdoc"], app.builder, node["reftype"])
    return domain.resolve_xref(*place, found[0], node, shown)


def setup(app: Sphinx) -> dict[str, bool]:
    """Resolve what Sphinx could not."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

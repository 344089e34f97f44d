"""Find a model's retrieval heads, save them, and compare them with random heads.

python examples/find_heads.py [MODEL] [HEADS.json] [SAMPLES]

MODEL is a folder or a hub id (default: the bundled model).
"""

from __future__ import annotations

import sys

import attninfluence as ai

TEXT = "The quick brown fox jumps over the lazy dog. " * 8


def main(model_name: str = "", path: str = "heads.json", samples: str = "40") -> None:
    model = ai.load(model_name or None)
    heads = ai.find_retrieval_heads(model, samples=int(samples))
    print(f"{heads.n_counted} of {heads.samples} samples count; the best heads:")
    for layer, head in heads.selected:
        print(
            f"  layer {layer:2d}, head {head:2d}: retrieval score {heads.scores[layer, head]:.3f}"
        )
    heads.save(path)

    control = heads.random_control(seed=0)
    row = ai.score([TEXT], model=model, heads=heads, control=control)[0]
    print(
        f"A repeated sentence scores {row.score:+.3f}; random heads give {row.control_score:+.3f}."
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

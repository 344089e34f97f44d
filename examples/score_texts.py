"""Score a few texts with the bundled model and see which tokens lean on its retrieval heads.

python examples/score_texts.py
"""

from __future__ import annotations

import numpy as np

import attninfluence as ai

TEXTS = [
    "Ann has 3 boxes with 4 pens each. She gives 5 pens away. 3 boxes of 4 pens are 12 pens, "
    "and 12 minus 5 is 7. So Ann has 7 pens left.",
    "Buy now! Best prices! Click here for the best prices! Free shipping! Do not miss it!",
    "The harbour was quiet that morning. A few gulls stood on the wall and looked out to sea.",
]


def main() -> None:
    result = ai.score(TEXTS, detail="token")
    for text, row in zip(TEXTS, result, strict=True):
        print(f"{row.score:+.4f}  {row.base_loss:.3f} -> {row.ref_loss:.3f} nats  {text[:60]}")

    tokens = result.token_losses(0)
    assert tokens.offsets is not None  # it is for input_ids only
    rise = np.nan_to_num(tokens.delta)  # the first token has no loss
    print("\nTokens of the first text whose loss rises most:")
    for index in np.argsort(-rise)[:5]:
        start, stop = tokens.offsets[index]
        print(f"  {rise[index]:+.3f} nats  {TEXTS[0][start:stop]!r} at {start}")


if __name__ == "__main__":
    main()

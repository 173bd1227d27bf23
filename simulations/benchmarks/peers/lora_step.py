"""A LoRA training step in PyTorch, transformers and PEFT, that `npm run bench -- training` times beside ours.

The SmolLM2-135M shape with random weights in fp32, LoRA of a rank on all seven linears, A and B trained, without dropout; a step is
forward, cross-entropy over all tokens, backward, clipping at norm 1 and AdamW. Tried with both attention implementations.

Prints one JSON line: {"seconds": median of the faster one, "all": {attention: seconds}, "peakRssBytes", "torch", "transformers",
"peft", "threads"}.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import peft
import torch
import transformers
from per_example import build


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--attention", default="sdpa,eager")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tokens = torch.randint(0, 49152, (given.batch, given.tokens + 1), generator=torch.Generator().manual_seed(1))
    seconds = {}
    for attention in given.attention.split(","):
        model = build(given.layers, given.rank, attention).train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-3)

        def step():
            start = time.perf_counter()
            logits = model(input_ids=tokens[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return time.perf_counter() - start

        for _ in range(3):
            step()
        seconds[attention] = statistics.median(step() for _ in range(given.repeats))
        print(f"{attention}: {seconds[attention]:.3f} s", file=sys.stderr)
        del model, trained, optimizer
    print(
        json.dumps(
            {
                "seconds": min(seconds.values()),
                "all": seconds,
                "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "peft": peft.__version__,
                "threads": given.threads,
            }
        )
    )


if __name__ == "__main__":
    main()

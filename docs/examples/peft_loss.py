"""The loss of an adapter that `kindred export` wrote, by transformers and PEFT alone.

    python peft_loss.py MODEL ROWS.jsonl [ADAPTER]

Prints what `kindred evaluate --model MODEL --data ROWS.jsonl [--adapter ADAPTER]` prints: rows are texts, or objects with prompt and
completion. Needs torch, transformers and peft.
"""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def encode(tokenizer, row):
    """Token ids and the indices of those that are scored."""
    prompt, completion = ("", row) if isinstance(row, str) else (row["prompt"], row["completion"])
    text = tokenizer(prompt + completion, return_offsets_mapping=True)
    ids = text["input_ids"]
    scored = [at for at, (_, end) in enumerate(text["offset_mapping"]) if end > len(prompt)]
    if not isinstance(row, str) and "choices" not in row:  # endOfText: auto
        scored.append(len(ids))
        ids = [*ids, tokenizer.eos_token_id]
    return ids, [at for at in scored if at > 0]


def losses(model, tokenizer, rows):
    """Negative log-likelihood of each row's scored tokens, and their number."""
    for row in rows:
        ids, scored = encode(tokenizer, row)
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        yield -sum(scores[at - 1, ids[at]].item() for at in scored), len(scored)


def summary(model, tokenizer, rows):
    found = list(losses(model, tokenizer, rows))
    tokens = sum(count for _, count in found)
    return {"examples": len(rows), "tokens": tokens, "loss": sum(nll for nll, _ in found) / tokens}


def main(folder, data, adapter=None):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).eval()
    with open(data, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    print(json.dumps(summary(model, tokenizer, rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""PyTorch's best way to the per-example gradients that `npm run bench` times.

The SmolLM2-135M shape with random weights in fp32, LoRA rank 16 on all seven linears (A random, B = 0), 8 x 64 tokens, logits for
all tokens; wanted: the gradient of each example's mean log-likelihood margin with respect to every A and B. Three ways:

  backward   transformers with PEFT, one forward, then one backward an example
  vmap       torch.func.vmap(grad) over functional LoRA parameters, transformers with PEFT
  hooks      one forward and one backward of the sum; each LoRA linear keeps its input and the gradient of its output, and batched
             matrix products give the examples' gradients: transformers' model with a hand-written LoRA linear, and the gradient
             of the margins with respect to the logits written out

With --scored N the last N positions alone have logits, and with --sketch D every example's gradients are projected to D numbers: by
random signs and sums over positions modulo D in the ways above, and in one more:

  published  one backward an example, then the product with a dense random matrix [parameters, D]

Prints progress on stderr and one JSON line on stdout: {"method": the fastest, "seconds": its median, "all": {way: seconds},
"agreement": largest relative L2 difference between the ways, "wanted", "torch", "transformers", "peft", "threads", "repeats",
"peakRssBytes": of the hungriest way}.
The model is in eval mode and without dropout; every way is run three times before it is timed.
"""

import argparse
import json
import resource
import statistics
import sys
import time
import warnings
import zlib

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.func import functional_call, grad, vmap
from transformers import LlamaConfig, LlamaForCausalLM

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def build(layers, rank, attention):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation=attention,
    )
    model = LlamaForCausalLM(config)
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=SEVEN, task_type="CAUSAL_LM")
    return get_peft_model(model, lora).eval()


# Seconds of a run beyond which one is enough.
SLOW = 20


def margins(logits, tokens):
    """[examples] mean over the positions of z_y - logsumexp_{k != y} z_k = log p - log(1 - p), by the stable form."""
    z = logits[:, :-1]
    y = tokens[:, -z.shape[1] :, None]
    right = z.gather(2, y)
    others = torch.logsumexp(z.scatter(2, y, float("-inf")), dim=2)
    return (right[..., 0] - others).mean(dim=1)


def margins_and_upstream(logits, tokens):
    """The margins and, without autograd's passes over the vocabulary, the gradient of their sum with respect to the logits:
    1 at the right token, - p_k / (1 - p_y) at the others, divided by the scored positions."""
    with torch.no_grad():
        z = logits[:, :-1]
        y = tokens[:, -z.shape[1] :, None]
        upstream = torch.zeros_like(logits)
        e = upstream[:, :-1]
        e.copy_(z).scatter_(2, y, float("-inf"))
        top = e.amax(dim=2, keepdim=True)
        e.sub_(top).exp_()
        total = e.sum(dim=2, keepdim=True)
        h = z.gather(2, y) - top - total.log()
        e.div_(total.mul_(-z.shape[1])).scatter_(2, y, 1 / z.shape[1])
    return h[..., 0].mean(dim=1), upstream


def signed_sums(found, signs, width):
    """[examples, width]: each tensor's elements times random signs, added up over positions modulo the width."""
    total = None
    for key, value in found.items():
        flat = value.flatten(1)
        size = flat.shape[1]
        if key not in signs:
            generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
            signs[key] = torch.randint(0, 2, (size,), generator=generator, dtype=torch.float32).mul_(2).sub_(1)
        flat = nn.functional.pad(flat * signs[key], (0, -size % width))
        part = flat.view(len(flat), -1, width).sum(1)
        total = part if total is None else total + part
    return total


def one_backward_each(model, tokens, given):
    parameters = {k: p for k, p in model.named_parameters() if p.requires_grad}
    keep = {"logits_to_keep": given.scored + 1} if given.scored else {}

    def run():
        h = margins(model(input_ids=tokens, **keep).logits, tokens)
        rows = []
        for i in range(len(tokens)):
            rows.append(torch.autograd.grad(h[i], list(parameters.values()), retain_graph=i + 1 < len(tokens)))
        return {k: torch.stack([row[j] for row in rows]) for j, k in enumerate(parameters)}

    return run


def published(model, tokens, given):
    each = one_backward_each(model, tokens, given)
    dense = {}

    def run():
        found = each()
        flat = torch.cat([value.flatten(1) for value in found.values()], dim=1)
        if not dense:
            dense["p"] = torch.randint(0, 2, (flat.shape[1], given.sketch), dtype=torch.float32).mul_(2).sub_(1)
        return {"sketch": torch.stack([row @ dense["p"] for row in flat])}

    return run


def vmapped(model, tokens, given):
    trained = {k: p.detach() for k, p in model.named_parameters() if p.requires_grad}
    frozen = {k: p.detach() for k, p in model.named_parameters() if not p.requires_grad}
    frozen.update({k: b for k, b in model.named_buffers()})
    keep = {"logits_to_keep": given.scored + 1} if given.scored else {}

    def margin(parameters, row):
        logits = functional_call(model, {**frozen, **parameters}, kwargs={"input_ids": row[None], **keep}).logits
        return margins(logits, row[None])[0]

    each = vmap(grad(margin), in_dims=(None, 0))
    return lambda: each(trained, tokens)


class Tap(nn.Module):
    """W x + s B A x that keeps x and A x, and the gradient of its output when the backward passes."""

    def __init__(self, layer):
        super().__init__()
        self.weight = layer.base_layer.weight.detach()
        self.a = layer.lora_A["default"].weight.detach()
        self.b = layer.lora_B["default"].weight.detach()
        self.scale = layer.scaling["default"]
        # Our side leaves out the products of a B that is known to be zero, and so does this one.
        self.fresh = not bool(self.b.any())

    def forward(self, x):
        low = nn.functional.linear(x, self.a)
        out = nn.functional.linear(x, self.weight)
        if not self.fresh:
            out = out + nn.functional.linear(low, self.b * self.scale)
        if not out.requires_grad:
            # Below the first adapter nothing needs a gradient, so its own output is where the backward ends.
            out.requires_grad_()
        self.x, self.low = x.detach(), low.detach()
        out.register_hook(self.keep)
        return out

    def keep(self, upstream):
        self.e = upstream

    def gradients(self, wants_a):
        """dA [examples, rank, in] or None, and dB [examples, out, rank]."""
        d_a = None
        if wants_a:
            into = torch.matmul(self.e, self.b * self.scale)
            d_a = torch.bmm(into.transpose(1, 2), self.x)
        d_b = torch.bmm(self.e.transpose(1, 2), self.low).mul_(self.scale)
        self.x = self.low = self.e = None
        return d_a, d_b


def hooked(model, tokens, given):
    wants_a = any(p.requires_grad for k, p in model.named_parameters() if "lora_A" in k)
    plain = model.get_base_model()
    taps = {}
    for name, module in list(plain.named_modules()):
        if hasattr(module, "lora_A"):
            tap = Tap(module)
            parent, leaf = name.rsplit(".", 1)
            setattr(plain.get_submodule(parent), leaf, tap)
            taps[f"base_model.model.{name}"] = tap
    for parameter in plain.parameters():
        parameter.requires_grad_(False)

    def run():
        logits = plain(input_ids=tokens, **({"logits_to_keep": given.scored + 1} if given.scored else {})).logits
        _, upstream = margins_and_upstream(logits, tokens)
        logits.backward(upstream)
        found = {}
        for name, tap in taps.items():
            d_a, d_b = tap.gradients(wants_a)
            found[f"{name}.lora_B.default.weight"] = d_b
            if wants_a:
                found[f"{name}.lora_A.default.weight"] = d_a
        return found

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--methods", default="hooks,vmap,backward", help="which ways to try")
    parser.add_argument("--random-b", action="store_true", help="B random instead of 0: to compare gradients of A as well")
    parser.add_argument("--wanted", choices=["ab", "b"], default="ab", help="gradients of A and B, or of B alone (A frozen)")
    parser.add_argument("--scored", type=int, default=0, help="positions scored, the last ones; 0 for all")
    parser.add_argument("--sketch", type=int, default=0, help="numbers to project an example's gradients to; 0 for none")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    tokens = torch.randint(0, 49152, (given.batch, given.tokens), generator=torch.Generator().manual_seed(1))
    ways = {"hooks": hooked, "vmap": vmapped, "backward": one_backward_each, "published": published}
    seconds, reference, agreement = {}, None, 0.0

    def prepare(name, attention):
        model = build(given.layers, given.rank, attention)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for key, value in model.named_parameters():
                if "lora_B" in key and given.random_b:
                    value.copy_(0.02 * torch.randn(value.shape, generator=generator))
                if "lora_A" in key and given.wanted == "b":
                    value.requires_grad_(False)
        run = ways[name](model, tokens, given)
        if not given.sketch or name == "published":
            return run
        signs = {}
        return lambda: {"sketch": signed_sums(run(), signs, given.sketch)}

    def timed(run):
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    for name in given.methods.split(","):
        # Each way has the attention that is faster for it; vmap has no fast rule for the fused one.
        trials = {}
        for attention in ("sdpa", "eager"):
            run = prepare(name, attention)
            found = run()
            if reference is None:
                reference = found
            for key, value in reference.items() if name != "published" else ():
                size = value.norm()
                if size > 0:
                    agreement = max(agreement, float((found[key] - value).norm() / size))
            del found
            trials[attention] = timed(run)
            del run
        attention = min(trials, key=trials.__getitem__)
        if trials[attention] > SLOW:
            # Warm since the run before; minutes more would not change what it is compared for.
            times = [trials[attention]]
        else:
            run = prepare(name, attention)
            for _ in range(3):
                run()
            times = [timed(run) for _ in range(given.repeats)]
            del run
        seconds[name] = statistics.median(times)
        print(
            f"{name}: {seconds[name]:.3f} s ({min(times):.3f} to {max(times):.3f}) with {attention} attention; first trials "
            + ", ".join(f"{k} {v:.3f}" for k, v in trials.items()),
            file=sys.stderr,
        )
    method = min(seconds, key=seconds.__getitem__)
    print(
        json.dumps(
            {
                "method": method,
                "seconds": seconds[method],
                "all": seconds,
                "wanted": given.wanted,
                "agreement": agreement,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "peft": peft.__version__,
                "threads": given.threads,
                "repeats": given.repeats,
                "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()

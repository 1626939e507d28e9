"""The workloads of `deq-zoo bench --against torchdeq`, in PyTorch and TorchDEQ.

The program writes a file for each workload (weights, inputs, settings; safetensors) and starts this
script, which takes the name of a case per line of standard input and answers each with a line of
JSON. With --cases it measures those and ends.

A case is WORKLOAD/SIZE/SOLVER/MODE, such as W1/d128/anderson/ift, or W6/KERNEL.
  solver  fp, anderson, broyden: TorchDEQ's, with statistics, as they are.
          loop: the same number of steps as fp, in plain PyTorch, without statistics.
  mode    fwd: the solve, without gradients. pg1, pg5: a training step with a phantom gradient of
          one undamped step, or five with damping 0.5. ift: one with the implicit gradient.
A run is all that depends on the weights: injections, solve, loss, gradients of all weights. There
is no optimiser.
"""

import argparse
import json
import math
import os
import platform
import signal
import statistics
import sys
import time
import warnings
from types import SimpleNamespace


def answer(record):
    """A line of JSON, which has no NaN."""
    for key, value in record.items():
        if isinstance(value, float) and not math.isfinite(value):
            record[key] = None
    print(json.dumps(record), flush=True)


try:
    import torch
    import torch.nn.functional as F
    import torchdeq
    from importlib.metadata import version
    from safetensors import safe_open
    from safetensors.torch import save_file
    from torchdeq.solver import get_solver, register_solver
except ImportError as error:
    answer({"error": f"cannot import {error.name or 'a package'}: {error}", "kind": "environment"})
    sys.exit(3)

# PyTorch says that sparse matrices are new to it.
warnings.filterwarnings("ignore", message="Sparse")
SOLVERS = {"fp": "fixed_point_iter", "anderson": "anderson", "broyden": "broyden"}


# --- The workloads ---------------------------------------------------------------------------------
# Each takes the tensors of its file `t` and its settings `s`, and gives
#   weights    the names of the tensors that are trained
#   start      where a solve starts, a tensor or a list of tensors
#   cotangent  the loss is the sum of the product of the result with it
#   prepare    a function that computes what depends on the weights and not on the state, and
#              returns the map


def tanh_layer(t, s):
    """z = tanh(W z + U x + b)"""

    def prepare():
        injection = F.linear(t["x"], t["u"], t["b"])
        return lambda z: torch.tanh(F.linear(z, t["w"]) + injection)

    return SimpleNamespace(
        weights=["w", "u", "b"],
        start=torch.zeros_like(t["x"]),
        cotangent=t["cotangent"],
        prepare=prepare,
    )


def transformer(t, s):
    """A post-LN transformer block whose queries, keys and values take an injection."""
    heads = s["heads"]

    def linear(name, x):
        return F.linear(x, t[f"{name}.weight"], t.get(f"{name}.bias"))

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"])

    def block(z, injection):
        batch, length, width = z.shape
        joined = (linear("qkv", z) + injection).view(batch, length, 3, heads, width // heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        z = norm("norm1", z + linear("out", attended.transpose(1, 2).reshape(z.shape)))
        return norm("norm2", z + linear("down", F.relu(linear("up", z))))

    def prepare():
        injection = linear("inject", t["x"])
        return lambda z: block(z, injection)

    return SimpleNamespace(
        weights=[name for name in t if name not in ("x", "cotangent")],
        start=torch.zeros_like(t["x"]),
        cotangent=t["cotangent"],
        prepare=prepare,
    )


def mdeq(t, s):
    """The map of MDEQ with two resolutions, after a stem of two convolutions."""
    groups = s["groups"]

    def conv(name, x, **options):
        return F.conv2d(x, t[f"{name}.weight"], **options)

    def norm(name, x, groups=groups):
        return F.group_norm(x, groups, t[f"{name}.weight"], t[f"{name}.bias"])

    def branch(name, z, injection):
        y = F.relu(norm(f"{name}.norm1", conv(f"{name}.conv1", z, padding=1)))
        y = conv(f"{name}.conv2", y, padding=1)
        if injection is not None:
            y = y + injection
        return norm(f"{name}.norm3", F.relu(norm(f"{name}.norm2", y) + z))

    def post(name, y):
        return norm(f"{name}.norm", conv(f"{name}.conv", F.relu(y)), groups // 2)

    def evaluate(high, low, injection):
        high, low = branch("branch0", high, injection), branch("branch1", low, None)
        up = F.interpolate(norm("up.norm", conv("up.conv", low)), scale_factor=2)
        down = norm("down.norm", conv("down.conv", high, stride=2, padding=1))
        return [post("post0", high + up), post("post1", down + low)]

    def prepare():
        injection = F.relu(conv("stem1", t["image"], padding=1))
        injection = F.relu(conv("stem2", injection, padding=1))
        return lambda high, low: evaluate(high, low, injection)

    cotangent = [t["cotangent.high"], t["cotangent.low"]]
    return SimpleNamespace(
        weights=[name for name in t if name != "image" and not name.startswith("cotangent")],
        start=[torch.zeros_like(part) for part in cotangent],
        cotangent=cotangent,
        prepare=prepare,
    )


def graph(t, s):
    """Z = relu(A Z W' + X Omega'), all nodes one sample, with a symmetric A in rows."""
    nodes = t["x"].shape[0]
    adjacency = torch.sparse_csr_tensor(t["indptr"], t["indices"], t["values"], (nodes, nodes))

    def prepare():
        injection = F.linear(t["x"], t["omega"])
        return lambda z: F.relu(torch.sparse.mm(adjacency, F.linear(z[0], t["w"])) + injection)[None]

    return SimpleNamespace(
        weights=["w", "omega"],
        start=torch.zeros_like(t["cotangent"]),
        cotangent=t["cotangent"],
        prepare=prepare,
    )


def gru(h, x, update, reset, candidate):
    """A gated recurrent unit from its three convolutions."""
    joined = torch.cat([h, x], 1)
    z, r = torch.sigmoid(update(joined)), torch.sigmoid(reset(joined))
    return (1 - z) * h + z * torch.tanh(candidate(torch.cat([r * h, x], 1)))


def flow(t, s):
    """DEQ-Flow's update block: look the correlation up where the flow points, encode it with the
    flow, update the hidden state by a horizontal and a vertical GRU, and the flow by a head."""
    radius, levels = s["radius"], s["levels"]
    _, channels, height, width = t["features1"].shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    origin = torch.stack([x, y]).float()[None]
    steps = torch.arange(-radius, radius + 1).float()
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)[None]

    def conv(name, x):
        weight = t[f"{name}.weight"]
        padding = [size // 2 for size in weight.shape[2:]]
        return F.conv2d(x, weight, t[f"{name}.bias"], padding=padding)

    def pyramid():
        pixels = height * width
        product = t["features1"].view(channels, pixels).T @ t["features2"].view(channels, pixels)
        volumes = [product.view(pixels, 1, height, width) / channels**0.5]
        while len(volumes) < levels:
            volumes.append(F.avg_pool2d(volumes[-1], 2))
        return volumes

    def look_up(volumes, coordinates):
        centre = coordinates.permute(0, 2, 3, 1).reshape(height * width, 1, 1, 2)
        found = []
        for level, volume in enumerate(volumes):
            h, w = volume.shape[-2:]
            scale = torch.tensor([2 / (w - 1), 2 / (h - 1)])
            place = (centre / 2**level + window) * scale - 1
            values = F.grid_sample(volume, place, align_corners=True)
            found.append(values.view(1, height, width, -1))
        return torch.cat(found, -1).permute(0, 3, 1, 2)

    def evaluate(volumes, hidden, coordinates):
        coordinates = coordinates.detach()
        offset = coordinates - origin
        correlation = F.relu(conv("correlation1", look_up(volumes, coordinates)))
        correlation = F.relu(conv("correlation2", correlation))
        motion = F.relu(conv("flow2", F.relu(conv("flow1", offset))))
        motion = F.relu(conv("motion", torch.cat([correlation, motion], 1)))
        x = torch.cat([t["context"], motion, offset], 1)
        for way in "12":
            gates = [lambda x, name=name: conv(name + way, x) for name in "zrq"]
            hidden = gru(hidden, x, *gates)
        return [hidden, coordinates + conv("head2", F.relu(conv("head1", hidden)))]

    def prepare():
        volumes = pyramid()
        return lambda hidden, coordinates: evaluate(volumes, hidden, coordinates)

    cotangent = [t["cotangent.hidden"], t["cotangent.flow"]]
    return SimpleNamespace(
        weights=[name for name in t if name.endswith((".weight", ".bias"))],
        start=[torch.zeros_like(cotangent[0]), origin],
        cotangent=cotangent,
        prepare=prepare,
    )


def conv_gru(t, s):
    """h = GRU(h, x) with 3x3 convolutions."""

    def conv(name):
        return lambda x: F.conv2d(x, t[f"{name}.weight"], t[f"{name}.bias"], padding=1)

    gates = [conv(name) for name in "zrq"]
    return SimpleNamespace(
        weights=[name for name in t if name.endswith((".weight", ".bias"))],
        start=torch.zeros_like(t["x"]),
        cotangent=t["cotangent"],
        prepare=lambda: lambda h: gru(h, t["x"], *gates),
    )


WORKLOADS = {
    "W1": tanh_layer,
    "W2": transformer,
    "W3": mdeq,
    "W4": graph,
    "W5a": flow,
    "W5b": conv_gru,
    "W7": tanh_layer,
}


def spmm(t):
    nodes = t["b"].shape[0]
    adjacency = torch.sparse_csr_tensor(t["indptr"], t["indices"], t["values"], (nodes, nodes))
    return lambda: torch.sparse.mm(adjacency, t["b"])


# Single operations on the tensors `t` of their file.
KERNELS = {
    "sgemm-1024": lambda t: lambda: t["a"] @ t["b"],
    "sgemm-64x1024x1024": lambda t: lambda: t["a"] @ t["b"],
    "sgemm-64x128x128": lambda t: lambda: t["a"] @ t["b"],
    "batched-gemm-64": lambda t: lambda: torch.bmm(t["a"], t["b"]),
    "conv-3x3": lambda t: lambda: F.conv2d(t["a"], t["b"], padding=(1, 1)),
    "conv-1x5": lambda t: lambda: F.conv2d(t["a"], t["b"], padding=(0, 2)),
    "tanh-4m": lambda t: lambda: torch.tanh(t["a"]),
    "softmax-4096x1024": lambda t: lambda: torch.softmax(t["a"], -1),
    "layer-norm-4096x1024": lambda t: lambda: F.layer_norm(t["a"], t["b"].shape, t["b"], t["c"]),
    "add-4m": lambda t: lambda: t["a"] + t["b"],
    "spmm": spmm,
}


# --- What is run -----------------------------------------------------------------------------------


def joined(state):
    """One row a sample."""
    parts = [state] if torch.is_tensor(state) else state
    return torch.cat([part.detach().flatten(1) for part in parts], 1)


def loss(state, cotangent):
    pairs = [(state, cotangent)] if torch.is_tensor(state) else zip(state, cotangent)
    return sum((part * weight).sum() for part, weight in pairs)


def build(solver, mode, s, count=None):
    """TorchDEQ's layer. `count` makes its solvers count their evaluations, for a run that is not
    timed."""

    def named(slot):
        if count is None:
            return SOLVERS[solver]
        inner = get_solver(SOLVERS[solver])

        def counting(func, x0, **options):
            def counted(*args, **kwargs):
                count[slot] += 1
                return func(*args, **kwargs)

            return inner(counted, x0, **options)

        register_solver(f"counting_{slot}", counting)
        return f"counting_{slot}"

    gradient = {}
    if mode == "ift":
        gradient = {"ift": True}
    elif mode.startswith("pg"):
        steps = int(mode[2:])
        gradient = {"grad": steps, "tau": 1.0 if steps == 1 else 0.5}
    deq = torchdeq.get_deq(
        f_solver=named("forward"),
        b_solver=named("backward"),
        f_max_iter=s["max_iter"],
        b_max_iter=s["max_iter"],
        f_tol=s["tolerance"],
        b_tol=s["tolerance"],
        f_stop_mode="rel",
        b_stop_mode="rel",
        **gradient,
    )
    return deq.train(mode != "fwd")


def solve_case(t, s, workload, solver, mode):
    """A function that runs the case once and returns state and residual, and what is known of it
    besides time."""
    problem = WORKLOADS[workload](t, s)
    weights = [t[name].requires_grad_(mode != "fwd") for name in problem.weights]
    # A workload of a fixed number of steps returns its last one.
    options = {"return_final": True} if s["fixed_steps"] else {}

    def step(deq):
        if mode == "fwd":
            with torch.no_grad():
                states, info = deq(problem.prepare(), problem.start, solver_kwargs=options)
        else:
            for weight in weights:
                weight.grad = None
            states, info = deq(problem.prepare(), problem.start, solver_kwargs=options)
            loss(states[-1], problem.cotangent).backward()
        return states[-1], info

    count = {"forward": 0, "backward": 0}
    state, info = step(build("fp" if solver == "loop" else solver, mode, s, count))
    known = {"nfe_forward": count["forward"], "nfe_backward": count["backward"]}
    if solver == "loop":
        steps = s["max_iter"] if s["fixed_steps"] else count["forward"]

        def run():
            with torch.no_grad():
                f, z = problem.prepare(), problem.start
                for _ in range(steps):
                    z = f(z) if torch.is_tensor(z) else f(*z)
                return z

        known["nfe_forward"] = steps
        return run, joined(run()), known
    known["residual"] = float(info["rel_lowest"].max())
    if mode != "fwd":
        squares = sum(float(weight.grad.square().sum(dtype=torch.float64)) for weight in weights)
        known["gradient"] = squares**0.5
    deq = build(solver, mode, s)
    return lambda: step(deq), joined(state), known


def measure(run, budget):
    """The same rule as in the program: warm-up by time, then samples by number and time."""
    start = time.perf_counter()
    while True:
        run()
        if time.perf_counter() - start >= budget.warmup:
            break
    samples, start = [], time.perf_counter()
    while len(samples) < budget.samples:
        enough = len(samples) >= budget.min_samples
        if enough and time.perf_counter() - start >= budget.max_seconds:
            break
        clock = time.perf_counter()
        run()
        samples.append(time.perf_counter() - clock)
    median = statistics.median(samples)
    return {
        "median": median,
        "mad": statistics.median(abs(sample - median) for sample in samples),
        "samples": len(samples),
    }


def load(path):
    with safe_open(path, "pt") as file:
        settings = json.loads((file.metadata() or {}).get("settings", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, settings


def run_case(case, options):
    workload, *rest = case.split("/")
    name = "-".join([workload, rest[0]])
    tensors, settings = load(os.path.join(options.workloads, f"{name}.safetensors"))
    if workload == "W6":
        torch.set_grad_enabled(False)
        run = KERNELS[rest[0]](tensors)
        result, known = run(), {}
    else:
        torch.set_grad_enabled(True)
        _, solver, mode = rest
        run, result, known = solve_case(tensors, settings, workload, solver, mode)
    if options.results:
        file = os.path.join(options.results, case.replace("/", "-") + ".safetensors")
        save_file({"result": result.contiguous().clone()}, file)
    return {"case": case, **measure(run, options), **known}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workloads", required=True, help="the folder of the workloads' files")
    parser.add_argument("--results", help="the folder to write each case's result to")
    parser.add_argument("--cases", help="measure these, separated by commas, and end")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=float, default=0.3, help="seconds before the first sample")
    parser.add_argument("--samples", type=int, default=400, help="samples at most")
    parser.add_argument("--min-samples", type=int, default=3)
    parser.add_argument("--max-seconds", type=float, default=1.0, help="no sample begins after it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.cases:
        for case in options.cases.split(","):
            answer(run_case(case, options))
        return
    # Ctrl-C is for the program that started this: it closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer(
        {
            "ready": True,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchdeq": version("torchdeq"),
            "threads": torch.get_num_threads(),
        }
    )
    for line in sys.stdin:
        case = line.strip()
        try:
            answer(run_case(case, options))
        except Exception as error:  # told to the program, which names the case and ends
            answer({"case": case, "error": f"{type(error).__name__}: {error}", "kind": "case"})


if __name__ == "__main__":
    main()

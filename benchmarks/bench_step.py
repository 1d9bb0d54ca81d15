"""How long one exact step takes, beside a sampled one.

One step of `descent.population`, recording included, against a plain sampled step in float32: a fresh batch of 100
inputs, the teacher's labels with noise, the student's loss, autograd, two updates. One thread, best of several rounds.
The exact step is to cost at most a quarter of the sampled one. Timings depend on the machine; no test reads them.

    python benchmarks/bench_step.py
"""

import time

import torch

from bilinear import descent
from bilinear.activations import IDENTITY, RELU, leaky_relu
from bilinear.teachers import convolution

M, d, K, BATCH, ETA = 4, 8, 4, 100, 0.01


def sampled_steps(teacher, steps: int) -> None:
    """Plain online descent in float32, nothing recorded."""
    V_star, S_star, D = teacher.V_star.float(), teacher.S_star.float(), teacher.D
    sigma = {1.0: lambda z: z, 0.0: torch.relu}.get(teacher.sigma.slope)
    sigma = sigma or (lambda z: torch.nn.functional.leaky_relu(z, teacher.sigma.slope))
    W_V = (0.1 * torch.randn(M, d)).requires_grad_()
    W_KQ = torch.zeros(D, D, requires_grad=True)
    for _ in range(steps):
        X = torch.randn(BATCH, d, D)
        Y = sigma(V_star @ X @ S_star) + torch.randn(BATCH, M, D)
        loss = 0.5 * (Y - sigma(W_V @ X @ torch.softmax(W_KQ / D**0.5, 0))).square().sum() / BATCH
        to_V, to_KQ = torch.autograd.grad(loss, (W_V, W_KQ))
        with torch.no_grad():
            W_V -= ETA * to_V
            W_KQ -= ETA * to_KQ


def seconds_a_step(runs, steps: int, rounds: int) -> list[float]:
    """For each of `runs` its best round's time for a step; in turn, so that a busy moment meets all of them."""
    best = [float("inf")] * len(runs)
    for _ in range(rounds):
        for k, run in enumerate(runs):
            start = time.perf_counter()
            run(steps)
            best[k] = min(best[k], (time.perf_counter() - start) / steps)
    return best


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"M = {M}, d = {d}, K = {K}, N = {BATCH}, one thread, microseconds a step")
    print(f"{'D':>4} {'sigma':>9} {'exact':>8} {'sampled':>8} {'ratio':>6}")
    for D in (36, 120):
        for name, sigma in (("identity", IDENTITY), ("ReLU", RELU), ("Leaky 0.1", leaky_relu())):
            teacher = convolution(torch.randn(M, d, dtype=torch.float64), D, K, sigma)
            runs = [lambda n, f=teacher: descent.population(f, ETA, n), lambda n, f=teacher: sampled_steps(f, n)]
            exact, sampled = seconds_a_step(runs, 100, 15)
            print(f"{D:4d} {name:>9} {1e6 * exact:8.0f} {1e6 * sampled:8.0f} {exact / sampled:6.3f}")


if __name__ == "__main__":
    main()

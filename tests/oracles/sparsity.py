"""The sparsity penalty, written in PyTorch, which has no such function."""

from fastnn._cases import Case


def kl_sparsity_case(rng):
    sizes = (int(n) for n in rng.integers(1, 9, int(rng.integers(1, 5))))
    return Case("core", {"x": tuple(sizes)}, {"rho": float(rng.uniform(0.01, 0.99))})


def kl_sparsity_torch(torch, x, *, rho):
    bernoulli, mean = torch.distributions.Bernoulli, x.mean(0)
    wished = bernoulli(torch.full_like(mean, rho))
    return torch.distributions.kl_divergence(wished, bernoulli(mean)).sum()

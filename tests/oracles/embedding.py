"""Embeddings."""

from fastnn._cases import Case


def embedding_case(rng):
    v, e = (int(n) for n in rng.integers(1, 12, 2))
    places = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(0, 4))))
    options = {"padding_idx": int(rng.integers(-v, v))} if rng.random() < 0.5 else {}
    return Case("edge", {"indices": places, "w": (v, e)}, options)


def embedding_torch(torch, indices, w, **options):
    return torch.nn.functional.embedding(indices, w, **options)

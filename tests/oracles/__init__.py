"""PyTorch's word on each operation: a module per family, found by tests/test_torch.py.

A module has for operation ``op``

``<op>_case(rng) -> Case``
    a random case: shapes, options, presence of optional arrays;
``<op>_torch(torch, **arguments) -> result or tuple of results``
    the same call in PyTorch, on tensors; arguments are named as the front names them.
"""

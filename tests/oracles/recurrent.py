"""Recurrent layers; variable lengths through packed sequences."""

from fastnn._cases import Case


def _case(rng, gates, states, options):
    t, n, i, h = (int(v) for v in rng.integers(1, 8, 4))
    options = {"batch_first": bool(rng.random() < 0.3), **options}
    options["reverse"] = bool(rng.random() < 0.3)
    x = (n, t, i) if options["batch_first"] else (t, n, i)
    arrays = {"x": x, "w_ih": (gates * h, i), "w_hh": (gates * h, h)}
    if rng.random() < 0.6:
        arrays |= {"b_ih": (gates * h,), "b_hh": (gates * h,)}
    if rng.random() < 0.6:
        arrays |= {f"{letter}0": (n, h) for letter in states}
    if rng.random() < 0.5:
        arrays["lengths"] = (n,)
    return Case("core", arrays, options)


def _run(torch, function, states, x, weights, lengths, reverse, batch_first):
    """The network of one layer; a reverse one is the second half of a bidirectional network."""
    biases = any(w.ndim == 1 for w in weights)
    if reverse:  # the first direction is there only to be thrown away
        weights = [*(w.detach() for w in weights), *weights]
        states = [torch.cat([torch.zeros_like(s), s]) for s in states]
    hx = tuple(states) if len(states) > 1 else states[0]
    tail = (weights, biases, 1, 0.0, False, reverse)
    steps = x.shape[1 if batch_first else 0]
    if lengths is None:
        y, *last = function(x, hx, *tail, batch_first)
    else:
        rnn = torch.nn.utils.rnn
        order = torch.argsort(lengths, descending=True, stable=True)
        back = torch.argsort(order)
        first = x.index_select(0 if batch_first else 1, order)
        packed = rnn.pack_padded_sequence(first, lengths[order], batch_first=batch_first)
        moved = [s.index_select(1, order) for s in states]
        hx = tuple(moved) if len(moved) > 1 else moved[0]
        data, *last = function(packed.data, packed.batch_sizes, hx, *tail)
        packed = rnn.PackedSequence(data, packed.batch_sizes)
        y, _ = rnn.pad_packed_sequence(packed, batch_first=batch_first, total_length=steps)
        y = y.index_select(0 if batch_first else 1, back)
        last = [s.index_select(1, back) for s in last]
    return (y[..., -last[0].shape[2] :], *(s[-1] for s in last))


def _call(torch, function, names):
    def call(x, w_ih, w_hh, b_ih=None, b_hh=None, lengths=None, **options):
        reverse, batch_first = options["reverse"], options["batch_first"]
        batch, size = x.shape[0 if batch_first else 1], w_hh.shape[1]
        zeros = torch.zeros((batch, size), dtype=x.dtype)
        states = [options.get(name, zeros)[None] for name in names]
        weights = [w for w in (w_ih, w_hh, b_ih, b_hh) if w is not None]
        return _run(torch, function, states, x, weights, lengths, reverse, batch_first)

    return call


def rnn_case(rng):
    return _case(rng, 1, "h", {"nonlinearity": str(rng.choice(["tanh", "relu"]))})


def rnn_torch(torch, x, *args, nonlinearity, **arguments):
    function = torch.rnn_relu if nonlinearity == "relu" else torch.rnn_tanh
    return _call(torch, function, ["h0"])(x, *args, **arguments)


def lstm_case(rng):
    return _case(rng, 4, "hc", {})


def lstm_torch(torch, x, *args, **arguments):
    return _call(torch, torch.lstm, ["h0", "c0"])(x, *args, **arguments)


def gru_case(rng):
    return _case(rng, 3, "h", {})  # PyTorch has reset_after=True only


def gru_torch(torch, x, *args, **arguments):
    return _call(torch, torch.gru, ["h0"])(x, *args, **arguments)

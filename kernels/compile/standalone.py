"""Standalone modules: the kernel of one run, which needs only NumPy and numba."""

import re

from sgdbench.kernels.base.run import BUFFERS, allocate_buffers
from sgdbench.kernels.compile.layers import NetworkParts
from sgdbench.kernels.compile.names import KernelParts
from sgdbench.kernels.compile.network_text import network_text
from sgdbench.kernels.compile.scalar_parts import ScalarParts
from sgdbench.kernels.compile.scalar_text import sample_functions
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.compile.templates import fill, fill_lines, tuple_text
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.optimizers.run_options import option_values


def standalone_text(spec: KernelSpec) -> str:
    """Return a module with the kernel of one run that needs only NumPy and numba."""
    if isinstance(spec.model.program, Network):
        return _standalone_network(NetworkParts(spec, standalone=True))
    return _standalone_scalars(ScalarParts(spec, standalone=True))


def _standalone_scalars(parts: ScalarParts) -> str:
    """Return the module of a model without vectors."""
    count, rule = len(parts.theta), parts.rule
    slots = [f"theta[{k}]" if start is None else repr(start) for k in range(count) for start in rule.all_slots_start]
    run = fill(
        "standalone_scalar_run",
        stride=str(count + 1),
        read_theta=tuple_text(f"params[{k}]" for k in range(count)),
        state=tuple_text([*slots, *map(repr, rule.clock_start)]),
        loss_options=tuple_text(f"settings[{k}]" for k in range(len(parts.loss_options))),
        write_theta=[f"params[{k}] = theta[{k}]" for k in range(count)],
    )
    return _module(
        parts,
        "scalar",
        "\n\n".join(sample_functions(parts)) + "\n" + run,
        shape="(n,) or (n, inputs)",
        params=str(count),
        param_names=", ".join(parts.spec.model.params),
        inputs=str(parts.program.inputs),
    )


def _standalone_network(parts: NetworkParts) -> str:
    """Return the module of a model with vectors."""
    network, rule, names = parts.network, parts.rule, parts.spec.model.params
    slots = ["theta" if start is None else f"np.full(theta.size, {start!r})" for start in rule.all_slots_start]
    cells = ["theta", *([f"np.stack([{', '.join(slots)}], axis=1).ravel()"] if slots else [])]
    cells += [repr(list(rule.clock_start))] if rule.clock_start else []
    units = network.layers[0].units, network.scores, network.dots
    sizes = [repr(one.size) for one in allocate_buffers(network.layout, *units, rule.slots, 1, 1, "float64")]
    sizes[BUFFERS.index("gradients")] = "(3 + max(0, math.ceil(math.log2(n / 128)))) * (theta.size + 1)"
    return _module(
        parts,
        "network",
        network_text(parts),
        shape=f"(n, {network.inputs})",
        params=str(network.params),
        param_names=f"{names[0]}, ..., {names[-1]}",
        inputs=str(network.inputs),
        layout=repr(network.layout.tolist()),
        cells=", ".join(cells),
        sizes=", ".join(sizes),
    )


def _module(parts: KernelParts, kind: str, functions: str, **texts: str) -> str:
    """Return the module of a model; `kind`, scalar or network, selects the templates."""
    spec, used = parts.spec, [one for name, one in PLAIN.items() if re.search(rf"(?<![.\w]){name}\(", functions)]
    compiler = repr({"error_model": "numpy"} | ({"fastmath": {"contract"}} if spec.fma else {}))
    return fill(
        "standalone",
        title=f"{spec.model.expression}: {spec.optimizer.text} with the loss {spec.loss.text}.",
        kernel=spec.kernel,
        head=fill_lines(f"standalone_{kind}_head", compiler=compiler, **texts),
        options=tuple_text(map(repr, option_values(parts.loss, parts.rule)[: len(parts.settings)].tolist())),
        option_names=", ".join(parts.settings) or "none",
        functions="\n\n".join([*used, functions]).splitlines(),
        train=fill_lines(f"standalone_{kind}_train", **texts),
        **texts,
    )


PLAIN = {
    name: f"@njit(**INLINED)\ndef {name}({given}):\n    return {text}\n\n"
    for name, given, text in (
        ("less", "u, v", "1.0 if u < v else 0.0"),
        ("less_equal", "u, v", "1.0 if u <= v else 0.0"),
        ("where", "condition, a, b", "a if condition != 0.0 else b"),
        ("maximum", "a, b", "b if b > a or b != b else a"),
        ("minimum", "a, b", "b if b < a or b != b else a"),
        ("erf", "u", "math.erf(u)"),
    )
}
"""The functions of `sgdbench.kernels.simd.compiled_functions` for numbers alone."""

"""Calls of ATen operators by name, with the arguments of their schema."""

import torch

import harness


def _converted(args):
    return {k: getattr(torch, v) if k == "dtype" else v for k, v in args.items()}


def call(name):
    """The call of `aten::name` on DTensors; the records' args are the schema's own names."""
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
    takes_list = packet in ("cat", "stack")

    def run(mesh, *inputs, **args):
        tensors = [harness.dtensor_from_spec(spec, mesh) for spec in inputs]
        if takes_list:
            return operation(tensors, **_converted(args))
        given = iter(tensors)
        values = _converted(args)
        for argument in operation._schema.arguments:
            if argument.name not in values and "Tensor" in str(argument.type):
                values[argument.name] = next(given, None)
        return operation(**{k: v for k, v in values.items() if v is not None})

    return run


def case(op, inputs, **args):
    out = {"op": op, "inputs": inputs}
    if args:
        out["args"] = args
    return out


def placements(dims):
    return [f"S({d})" for d in range(dims)] + ["R", "P(sum)"]


def each_placement(shape, **more):
    """The input of this shape in every placement."""
    return [{"shape": shape, "placement": p, **more} for p in placements(len(shape))]

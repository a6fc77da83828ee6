"""Makes the calls that `runner` writes below: one line of JSON for each, in the file named on the command line."""

import importlib as _importlib
import importlib.metadata as _metadata
import inspect as _inspect
import json as _json
import sys as _sys

import numpy as _np

_out = open(_sys.argv[1], "w", encoding="utf-8")  # noqa: SIM115 (closed when the process ends)


def _write(**line):
    print(_json.dumps(line), file=_out, flush=True)


def precision(dtype):
    """Let the frameworks that round to a default of their own compute in this dtype."""
    if jax := _sys.modules.get("jax"):
        jax.config.update("jax_enable_x64", dtype == "float64")
    if keras := _sys.modules.get("keras"):
        keras.config.set_floatx(dtype)


def emit(key, call, x, y, onehot, dtype=None):
    try:
        x, onehot = (_np.array(each, dtype) if dtype else each for each in (x, onehot))
        value = eval(call, globals() | {"x": x, "y": y, "onehot": onehot})
        value = value.detach() if hasattr(value, "detach") else value
        _write(key=key, value=_np.asarray(value, dtype=float).ravel().tolist())
    except Exception as error:  # an error is an answer: records say which is raised
        _write(key=key, raises=type(error).__name__, message=str(error).strip().partition("\n")[0][:500])


def in_order(symbol, *claimed):
    """Whether each list of parameters is, in this order, one that the symbol or a call of its object has."""
    path = symbol.split(".")
    try:
        found = globals().get(path[0]) or _importlib.import_module(path[0])
        for name in path[1:]:
            found = (
                getattr(found, name) if hasattr(found, name) else _importlib.import_module(f"{found.__name__}.{name}")
            )
        real = [_inspect.signature(found)]
    except (ImportError, AttributeError, TypeError, ValueError):
        return True  # nothing that Python can inspect: an attribute of an object, a function written in C
    if _inspect.isclass(found):
        calls = [getattr(found, name, None) for name in ("__init__", "forward", "__call__", "update", "update_state")]
        real += [_inspect.signature(call) for call in calls if _inspect.isfunction(call)]
    for names in claimed:
        if not any(_has(signature, names) for signature in real):
            raise TypeError(f"its parameters are {' or '.join(str(list(each.parameters)) for each in real)}")
    return True


def _has(signature, names):
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    rest = iter(signature.parameters)
    # What takes *args and **kwargs says nothing of their names and order.
    return {_inspect.Parameter.VAR_POSITIONAL, _inspect.Parameter.VAR_KEYWORD} <= kinds or all(
        name in rest for name in names
    )


def versions(*packages):
    # Without the local part: 2.13.0+cpu is release 2.13.0.
    _write(key="versions", value={name: _metadata.version(name).partition("+")[0] for name in packages})

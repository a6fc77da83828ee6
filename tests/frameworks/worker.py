"""Makes the calls that `runner` writes below: one line of JSON for each, in the file named on the command line."""

import ast as _ast
import importlib as _importlib
import importlib.metadata as _metadata
import inspect as _inspect
import json as _json
import re as _re
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


def as_recorded(form, paths, construct, call):
    """Whether every path leads to one and the same object, whose parameters are those recorded, with their defaults."""
    found = [_import(path) for path in paths]
    faults = [
        f"{path} isn't {paths[0]}" for path, each in zip(paths, found, strict=True) if _plain(each) != _plain(found[0])
    ]
    if found[0] is not None and form != "attribute":
        if _inspect.isclass(found[0]) != (form == "class"):
            faults.append(f"it is {'a' if form != 'class' else 'no'} class")
        real = _signatures(found[0], form)
        recorded = {"construct": construct, "call": call}
        for place, text in recorded.items():
            if real[place] and text is not None and _canonical(text) not in real[place]:
                faults.append(f"{place}: not ({text}) but {' or '.join(f'({each})' for each in real[place])}")
    if faults:
        raise TypeError("; ".join(faults))
    return True


# The methods by which an object is called: PyTorch's, anybody's, Keras's, and those of metrics.
_CALLS = ("forward", "__call__", "call", "update_state", "update")


def _import(path):
    """What a path leads to: None for what only an object of a class has."""
    first, *names = path.split(".")
    found = _importlib.import_module(first)
    for name in names:
        if not hasattr(found, name):
            if _inspect.isclass(found):
                return None
            found = _importlib.import_module(f"{found.__name__}.{name}")
        else:  # a package may have a class and a module of one name: the class is meant
            found = getattr(found, name)
    return found


def _plain(found):
    """A method without the class through which it was found."""
    return getattr(found, "__func__", found)


def _signatures(found, form):
    """The parameters by which it is made and called; none where Python can't tell, as of what's written in C."""
    try:
        own = _inspect.signature(found)
    except (TypeError, ValueError):
        return {"construct": [], "call": []}
    if form == "class":
        calls = [getattr(found, name, None) for name in _CALLS]
        called = [_text(_inspect.signature(each), True) for each in calls if _inspect.isfunction(each)]
        return {"construct": _known(_text(own)), "call": _known(*called)}
    # A method of a tensor names it, as the first of its inputs; one of a model does not.
    with_self = form == "method" and next(iter(own.parameters), None) == "self"
    return {"construct": [], "call": _known(_text(own), *([_text(own, True)] if with_self else []))}


def _known(*texts):
    """Those that say what is taken: with *args and **kwargs, whatever they are called, nobody knows."""
    return [text for text in texts if not ("**" in text and _re.search(r"(^|, )\*\w", text))]


def _text(signature, method=False):
    """A signature as Python writes it, without annotations; a default that isn't a literal is an ellipsis."""
    parameters = list(signature.parameters.values())[method:]
    return _canonical(str(_inspect.Signature(list(map(_shown, parameters))))[1:-1])


def _shown(parameter):
    default = parameter.default
    if isinstance(default, str):
        default = str.__str__(default)  # a member of an enumeration is its word
    elif default is not parameter.empty and not _is_literal(default):
        default = ...
    return parameter.replace(annotation=parameter.empty, default=default)


def _is_literal(value):
    try:
        return _ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError, TypeError):
        return False


def _canonical(text):
    """Parameters in one form: a default that isn't a literal is an ellipsis."""
    arguments = _ast.parse(f"def f({text}): ...").body[0].args
    for defaults in (arguments.defaults, arguments.kw_defaults):
        for place, each in enumerate(defaults):
            try:
                _ast.literal_eval(each) if each else None
            except ValueError:
                defaults[place] = _ast.Constant(...)
    return _ast.unparse(arguments)


def versions(*packages):
    # Without the local part: 2.13.0+cpu is release 2.13.0.
    _write(key="versions", value={name: _metadata.version(name).partition("+")[0] for name in packages})

"""Do values fit a function's annotations?"""

import collections.abc
import inspect
import types
import typing

__all__ = ["fitter"]


def fitter(handler):
    """A function that takes an event's arguments and returns them as the handler wants them. It raises
    TypeError where number or types do not fit."""
    for each in (handler, getattr(handler, "__call__", None)):
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            raise TypeError("a handler must be a plain function: nobody awaits an `async def`")
    signature = inspect.signature(handler)
    try:
        hints = typing.get_type_hints(handler)
    except Exception:
        hints = {}  # Names that cannot be found: nothing to check by.
    parameters = list(signature.parameters.values())
    kinds = [hints.get(each.name, typing.Any) for each in parameters
             if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    rest = next((hints.get(each.name, typing.Any) for each in parameters
                 if each.kind is each.VAR_POSITIONAL), typing.Any)

    def fit(args):
        signature.bind(*args)
        wanted = kinds[:len(args)] + [rest] * (len(args) - len(kinds))
        out = []
        for at, (value, kind) in enumerate(zip(args, wanted)):
            try:
                out.append(_fit(value, kind))
            except _Misfit as why:
                raise TypeError(f"argument {at}: {why}") from None
        return out
    return fit


class _Misfit(Exception):
    pass


def _fit(value, kind):
    """`value` as a `kind`; _Misfit where it is none. What `kind` cannot be checked for fits."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _fit(value, parts[0])
    if origin is typing.Union or origin is types.UnionType:
        for each in parts:
            try:
                return _fit(value, each)
            except _Misfit:
                pass
        raise _misfit(value, kind)
    if origin is typing.Literal:
        if any(value == each and type(value) is type(each) for each in parts):
            return value
        raise _misfit(value, kind)
    plain = origin or kind
    if plain is None:
        plain = type(None)
    if not isinstance(plain, type) or plain is typing.Any:
        return value
    # A vector or set comes in one form, and is raised in any.
    if plain in (list, tuple) and isinstance(value, (list, tuple)):
        value = value if isinstance(value, plain) else plain(value)
    elif plain in (set, frozenset) and isinstance(value, (set, frozenset)):
        value = value if isinstance(value, plain) else plain(value)
    try:
        fits = isinstance(value, plain)
    except TypeError:
        return value  # A protocol that cannot be asked.
    if not fits or (isinstance(value, bool) and plain not in (bool, object)):
        raise _misfit(value, plain)
    return _fit_parts(value, plain, parts) if parts else value


def _fit_parts(value, plain, parts):
    if plain is tuple and parts[-1:] != (Ellipsis,):
        parts = () if parts == ((),) else parts
        if len(value) != len(parts):
            raise _Misfit(f"expected {len(parts)} elements, got {len(value)}")
        return tuple(_fit(each, kind) for each, kind in zip(value, parts))
    if issubclass(plain, collections.abc.Mapping):
        if len(parts) != 2:
            return value
        fitted = {_fit(key, parts[0]): _fit(each, parts[1]) for key, each in value.items()}
        return fitted if plain is dict else value
    if issubclass(plain, collections.abc.Collection):
        fitted = [_fit(each, parts[0]) for each in value]
        return plain(fitted) if plain in (list, tuple, set, frozenset) else value
    return value


def _misfit(value, kind):
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return _Misfit(f"expected {name}, got {type(value).__name__}")

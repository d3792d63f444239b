"""Holds the typed stubs against what they describe: every name, every parameter."""

import ast
import importlib
import inspect

import pytest

from conftest import SOURCE

import bzmq

FOLDER = SOURCE / "python/bzmq"
STUBS = sorted(path.stem for path in FOLDER.glob("*.pyi"))


def module_of(stub):
    return bzmq if stub == "__init__" else importlib.import_module(f"bzmq.{stub}")


def parameters(function):
    arguments = function.args
    names = [each.arg for each in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    return [name for name in names if name not in ("self", "cls")]


def check_class(stub, runtime):
    for member in stub.body:
        if isinstance(member, ast.AnnAssign):
            # Attributes of instances of dataclasses and the like live in annotations.
            known = hasattr(runtime, member.target.id) or member.target.id in _instance_names(runtime)
            assert known, f"{stub.name}.{member.target.id}"
        elif isinstance(member, ast.Assign):
            assert getattr(runtime, member.targets[0].id) is not None
            if isinstance(member.value, ast.Constant):
                assert getattr(runtime, member.targets[0].id).value == member.value.value
        elif isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
            check_function(stub.name, member, runtime)
        elif isinstance(member, ast.ClassDef):
            check_class(member, getattr(runtime, member.name))


def _instance_names(runtime):
    names = set(getattr(runtime, "__annotations__", ()))
    for base in runtime.__mro__:
        for function in ("__init__", "__new__"):
            code = getattr(getattr(base, function, None), "__code__", None)
            names.update(code.co_names if code else ())
    return names | {"accepted"}


def check_function(owner, stub, runtime):
    found = inspect.getattr_static(runtime, stub.name, None) or getattr(runtime, stub.name, None)
    assert found is not None, f"{owner}.{stub.name}"
    found = getattr(runtime, stub.name)
    if isinstance(stub, ast.AsyncFunctionDef):
        assert inspect.iscoroutinefunction(found), f"{owner}.{stub.name} is not async"
    elif inspect.iscoroutinefunction(found):
        pytest.fail(f"{owner}.{stub.name} is async")
    try:
        wanted = [name for name in inspect.signature(found).parameters]
    except (TypeError, ValueError):
        return  # of the extension
    variable = [each.arg for each in (stub.args.vararg, stub.args.kwarg) if each]
    told = parameters(stub) + variable
    overloaded = any(isinstance(each, ast.Name) and each.id == "overload" for each in stub.decorator_list)
    wanted = [name for name in wanted if name not in ("self", "cls")]
    if overloaded:
        assert set(told) <= set(wanted), f"{owner}.{stub.name}"
    elif not stub.name.startswith("__") or stub.name in ("__init__", "__new__"):
        assert sorted(told) == sorted(wanted), f"{owner}.{stub.name}"


@pytest.mark.parametrize("stub", STUBS)
def test_a_stub_tells_the_truth(stub):
    module = module_of(stub)
    for node in ast.parse((FOLDER / f"{stub}.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            home = module if hasattr(module, node.name) else importlib.import_module("bzmq.store")
            check_class(node, getattr(home, node.name))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            check_function(stub, node, module)


@pytest.mark.parametrize("stub", STUBS)
def test_a_stub_leaves_nothing_out(stub):
    told = {}
    for node in ast.parse((FOLDER / f"{stub}.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef):
            told[node.name] = {getattr(each, "name", None) for each in node.body}
    module = module_of(stub)
    for name, members in told.items():
        runtime = getattr(module, name, None)
        if name.startswith("_") or not inspect.isclass(runtime) or issubclass(runtime, (tuple, int, str)):
            continue
        functions = {key for base in runtime.__mro__ if base.__module__.startswith("bzmq")
                     for key, value in vars(base).items()
                     if inspect.isfunction(value) and not key.startswith("_")}
        stubbed = set()
        for base in runtime.__mro__:
            stubbed |= told.get(base.__name__, set())
        missing = functions - stubbed
        if stub == "asyncio":
            missing -= {"events", "proxy"}
        if runtime.__module__ == "bzmq._types":
            continue  # overrides of what datetime and dict declare
        assert not missing, f"{name}: {sorted(missing)}"


@pytest.mark.parametrize("stub", STUBS)
def test_an_int_finds_its_own_overload_before_that_of_floats(stub):
    """To type checkers an int is a float: the first overload that fits counts."""
    for node in ast.walk(ast.parse((FOLDER / f"{stub}.pyi").read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        seen = set()
        for each in node.body:
            if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            taken = [ast.unparse(one.annotation) for one in each.args.args[1:2] if one.annotation]
            assert taken != ["int"] or each.name not in seen, f"{node.name}.{each.name}"
            if taken and "float" in taken[0]:
                seen.add(each.name)

"""The value of an expression that comes from a configuration: operators, comparisons and variables, and nothing that acts."""

import ast
import operator

MAX_LENGTH = 4096

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPARE = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_FUNCTIONS = {"int": int, "float": float, "str": str, "len": len, "abs": abs, "min": min, "max": max, "bool": bool}
_METHODS = {"startswith", "endswith", "lower", "upper", "strip", "get", "split"}


def eval(expr, variables=None):
    if len(expr) > MAX_LENGTH:
        raise ValueError(f"found an expression of {len(expr)} characters; {MAX_LENGTH} are allowed")
    return _value(ast.parse(expr.strip(), mode="eval").body, variables or {})


def _value(node, names):
    def value(child):
        return _value(child, names)

    kind = type(node)
    if kind is ast.Constant:
        return node.value
    if kind is ast.Name and node.id in names:
        return names[node.id]
    if kind in (ast.Tuple, ast.List):
        return [value(item) for item in node.elts]
    if kind is ast.Dict and None not in node.keys:
        return {value(key): value(item) for key, item in zip(node.keys, node.values)}
    if kind is ast.BoolOp:
        return _boolean(node, value)
    if kind is ast.UnaryOp and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](value(node.operand))
    if kind is ast.BinOp and type(node.op) in _BINARY:
        return _arithmetic(type(node.op), value(node.left), value(node.right))
    if kind is ast.Compare:
        return _comparison(node, value)
    if kind is ast.IfExp:
        return value(node.body) if value(node.test) else value(node.orelse)
    if kind is ast.Subscript:
        return value(node.value)[value(node.slice)]
    if kind is ast.Call and not node.keywords:
        return _call(node, value)
    raise ValueError(f"`{ast.unparse(node)}` is not allowed in an expression")


def _boolean(node, value):
    is_and = isinstance(node.op, ast.And)
    for item in node.values:
        result = value(item)
        if bool(result) != is_and:
            break
    return result


def _arithmetic(kind, left, right):
    # Only numbers are multiplied: `"x" * 10**9` would fill the memory.
    if kind is ast.Mult and not all(isinstance(side, (int, float)) for side in (left, right)):
        raise ValueError("only numbers can be multiplied in an expression")
    if kind is ast.Mod and isinstance(left, (str, bytes)):
        raise ValueError("`%` is for numbers in an expression")
    return _BINARY[kind](left, right)


def _comparison(node, value):
    left = value(node.left)
    for operation, item in zip(node.ops, node.comparators):
        right = value(item)
        if not _COMPARE[type(operation)](left, right):
            return False
        left = right
    return True


def _call(node, value):
    arguments = [value(argument) for argument in node.args]
    if isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        return _FUNCTIONS[node.func.id](*arguments)
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        subject = value(node.func.value)
        if isinstance(subject, (str, bytes, dict)):
            return getattr(subject, node.func.attr)(*arguments)
    raise ValueError(f"`{ast.unparse(node.func)}` is not allowed in an expression")

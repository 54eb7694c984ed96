"""`turnlog check`: reads an app's handlers, and what they call in the same module, for what would not replay.

It reads source and runs none of it. It sees what is written: a clock behind an imported function is strict mode's to find.
A comment `# turnlog: ok REASON` on a line silences what is found there; without a reason it does not.
"""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator

import msgspec

from ...core.errors import DefinitionError
from ..app import App, Handler
from .lint_rules import (
    AS_COMPLETED,
    BLOCKING_METHODS,
    GENERATOR,
    GLOBAL,
    OUTSIDE,
    SET_ORDER,
    UNAWAITED,
    Rule,
    rule_of,
)

__all__ = ["Finding", "check_app", "check_source"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OK = re.compile(r"#\s*turnlog:\s*ok\b\s*(.*)")
_COMMANDS = frozenset({"input", "say", "call", "step", "signal", "update", "end"})
_CHANGES = frozenset({"append", "add", "update", "pop", "popitem", "clear", "extend", "insert", "remove", "setdefault"})
_ORDERED = frozenset({"list", "tuple", "enumerate", "iter", "next", "zip", "map"})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not belong into a handler."""

    file: str
    line: int
    rule: str
    function: str
    what: str
    why: str
    remedy: str


def check_app(app: App) -> list[Finding]:
    """Look at every session's handler, except those declared with replay=False, which may do all of this.

    Raises DefinitionError TL206 for a handler without source.
    """
    by_file: dict[str, list[Handler]] = {}
    for declared in app.sessions.values():
        if declared.replay:
            handler = inspect.unwrap(declared.handler)
            by_file.setdefault(inspect.getsourcefile(handler) or "", []).append(handler)
    findings: list[Finding] = []
    for file, handlers in by_file.items():
        try:
            with tokenize.open(file) as source:
                text = source.read()
        except OSError as error:
            named = ", ".join(handler.__qualname__ for handler in handlers)
            message = f"the source of {named} cannot be read: {error}"
            raise DefinitionError("TL206", message, "check an app whose source is there") from None
        findings += check_source(text, file, [handler.__code__.co_firstlineno for handler in handlers])
    return findings


def check_source(text: str, file: str, lines: list[int]) -> list[Finding]:
    """Look at the functions that begin on these lines (of their first decorator, if any) and at all they call in this text."""
    module = _Module(ast.parse(text, file))
    excused = _excuses(text)
    findings: dict[tuple[int, str, str], Finding] = {}
    handlers = [node for node in module.all if _first_line(node) in lines]
    for function in module.reached(handlers):
        for node, rule, what in _Look(module, function, is_handler=function in handlers).findings():
            span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            reasons = [excused[line] for line in span if line in excused]
            if any(reasons):
                continue
            why = f"{rule.why} (`# turnlog: ok` needs a reason to silence it)" if reasons else rule.why
            found = Finding(
                file=file, line=node.lineno, rule=rule.name, function=function.name, what=what, why=why, remedy=rule.remedy
            )
            findings[node.lineno, rule.name, what] = found
    return [findings[key] for key in sorted(findings)]


def _first_line(node: _Function) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _excuses(text: str) -> dict[int, str]:
    """Line -> reason of each `# turnlog: ok`."""
    comments = (token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT)
    matches = ((token.start[0], _OK.match(token.string)) for token in comments)
    return {line: match.group(1).strip() for line, match in matches if match}


class _Module:
    """The names of a module: what was imported as what, its functions by name, its mutable globals."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: dict[str, str] = {}
        self.all: list[_Function] = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
        self.classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        self.globals = {name for node in tree.body for name in _assigned(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self.imports[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(self, node: ast.expr) -> str:
        """`dt.datetime.now` -> "datetime.datetime.now", by what was imported; "" for what is no such name."""
        match node:
            case ast.Name():
                return self.imports.get(node.id, node.id)
            case ast.Attribute():
                base = self.dotted(node.value)
                return f"{base}.{node.attr}" if base else ""
        return ""

    def named(self, name: str) -> list[_Function]:
        """The module's functions of this name; of a class its methods."""
        found = [node for node in self.all if node.name == name]
        if name in self.classes:
            found += [node for node in self.classes[name].body if isinstance(node, _FUNCTIONS)]
        return found

    def reached(self, roots: list[_Function]) -> list[_Function]:
        """The roots and all that they call by name, or hand on to be called, in this module."""
        reached = list(roots)
        for function in reached:  # grows while it is walked
            for node in own_nodes(function):
                if isinstance(node, ast.Call):
                    for name in called_names(node):
                        reached += [found for found in self.named(name) if found not in reached]
        return reached


def called_names(node: ast.Call) -> Iterator[str]:
    """Names that this call calls, or hands on to something that may call them here."""
    if isinstance(node.func, ast.Name):
        yield node.func.id
    elif isinstance(node.func, ast.Attribute):
        if node.func.attr in OUTSIDE:
            return
        if isinstance(node.func.value, ast.Name) and node.func.value.id in ("self", "cls"):
            yield node.func.attr
    for argument in node.args:
        if isinstance(argument, ast.Name):
            yield argument.id


def own_nodes(function: _Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions within it and of lambdas that are run outside."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        yield node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OUTSIDE:
            children = [child for child in children if not isinstance(child, ast.Lambda)]
        waiting += reversed(children)


def _assigned(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Assign():
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name() as target) | ast.AugAssign(target=ast.Name() as target):
            yield target.id


class _Look:
    """One function under the eye."""

    def __init__(self, module: _Module, function: _Function, *, is_handler: bool) -> None:
        self.module = module
        self.nodes = list(own_nodes(function))
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        annotated = {one.arg for one in every if one.annotation and "Session" in ast.unparse(one.annotation)}
        self.sessions = {"session", *annotated, *(one.arg for one in every[:1] if is_handler)}
        shared = {name for node in self.nodes if isinstance(node, ast.Global) for name in node.names}
        local = {one.arg for one in every} | {name for node in self.nodes for name in _assigned(node)}
        self.shared = shared
        self.globals = module.globals - (local - shared)
        assigned = [node for node in self.nodes if isinstance(node, ast.Assign)]
        self.sets = {name for node in assigned if _is_set(node.value) for name in _assigned(node)}

    def findings(self) -> Iterator[tuple[ast.expr | ast.stmt, Rule, str]]:
        """What is found, each with the rule it breaks."""
        for node in self.nodes:
            match node:
                case ast.Call():
                    yield from self._call(node)
                case ast.For() | ast.comprehension():
                    yield from self._in_order(node.iter)
                case ast.AsyncFor():
                    yield from self._generator(node)
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name() as held, attr=name)) as call):
                    if held.id in self.sessions and name in _COMMANDS:
                        yield call, UNAWAITED, f"{held.id}.{name}(…) is not awaited"
                case ast.Assign() | ast.AugAssign() | ast.Delete():
                    yield from self._written(node)

    def _call(self, node: ast.Call) -> Iterator[tuple[ast.expr, Rule, str]]:
        dotted = self.module.dotted(node.func)
        if rule := rule_of(dotted, len(node.args) + len(node.keywords)):
            yield node, rule, f"{dotted}()"
        elif dotted == "asyncio.as_completed" and node.args and self._bare(node.args[0]):
            yield node, AS_COMPLETED, "asyncio.as_completed() of coroutines"
        elif dotted in _ORDERED:
            for argument in node.args:
                yield from self._in_order(argument)
        elif isinstance(node.func, ast.Attribute):
            name, held = node.func.attr, node.func.value
            if rule := BLOCKING_METHODS.get(name):
                yield node, rule, f".{name}()"
            elif name in _CHANGES and isinstance(held, ast.Name) and held.id in self.globals:
                yield node, GLOBAL, f"{held.id}.{name}() changes a global"
            elif name == "pop" and self._is_set(held):
                yield node, SET_ORDER, f"{ast.unparse(held)}.pop() takes any element"
            elif name == "join" and node.args:
                yield from self._in_order(node.args[0])

    def _bare(self, given: ast.expr) -> bool:
        """Whether it makes coroutines: calls that make no tasks."""
        match given:
            case ast.List() | ast.Tuple() | ast.Set():
                elements = given.elts
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                elements = [given.elt]
            case _:
                return False
        calls = [element for element in elements if isinstance(element, ast.Call)]
        return any(self.module.dotted(call.func).rpartition(".")[2] not in ("create_task", "ensure_future") for call in calls)

    def _is_set(self, node: ast.expr) -> bool:
        return _is_set(node) or (isinstance(node, ast.Name) and node.id in self.sets)

    def _in_order(self, iterated: ast.expr) -> Iterator[tuple[ast.expr, Rule, str]]:
        if self._is_set(iterated):
            yield iterated, SET_ORDER, f"{ast.unparse(iterated)} is a set, and its elements are taken in order"

    def _generator(self, node: ast.AsyncFor) -> Iterator[tuple[ast.expr, Rule, str]]:
        match node.iter:
            case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
                generators = [function for function in self.module.named(name) if _is_generator(function)]
                if generators and _leaves(node.body):
                    yield node.iter, GENERATOR, f"{name}() may be left before its end"

    def _written(self, node: ast.Assign | ast.AugAssign | ast.Delete) -> Iterator[tuple[ast.stmt, Rule, str]]:
        targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        for target in targets:
            match target:
                case ast.Name(id=name) if name in self.shared:
                    yield node, GLOBAL, f"{name} is a global"
                case ast.Subscript(value=ast.Name(id=name)) | ast.Attribute(value=ast.Name(id=name)) if name in self.globals:
                    yield node, GLOBAL, f"{name} is a global"


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
    return False


def _is_generator(function: _Function) -> bool:
    return isinstance(function, ast.AsyncFunctionDef) and any(isinstance(node, ast.Yield) for node in own_nodes(function))


def _leaves(body: list[ast.stmt]) -> bool:
    """Whether a loop with this body can be left before its end: by return, or by a break that is its own."""
    for node in body:
        if isinstance(node, ast.Return | ast.Break | ast.Raise):
            return True
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            if any(isinstance(inner, ast.Return) for inner in ast.walk(node)):
                return True
        elif not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
            blocks += [part.body for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ()))]
            if any(map(_leaves, blocks)):
                return True
    return False

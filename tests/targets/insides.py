"""Says what it is made of: insides.py

Prints `ready PID`, then one JSON line, and waits until stdin closes. The line has the address of the runtime's state, what
`sizes` of objects Python itself knows, and `words`: a place by our name for it, the address of an object, and the word that
must be there, since it is the address of something that the object has, or a number that Python tells.
"""

import array
import collections
import ctypes
import functools
import io
import itertools
import json
import os
import sys
import types
import weakref

KEPT = []
WORDS = []


def keep(thing):
    KEPT.append(thing)
    return thing


def has(thing, **places):
    """Each place, `group__field`, holds the address of the object that is given for it."""
    keep((thing, places))
    for place, value in places.items():
        WORDS.append([place.replace("__", ".", 1), id(thing), id(value)])


def counts(thing, **places):
    for place, value in places.items():
        WORDS.append([place.replace("__", ".", 1), id(thing), value])


def outer(first, second=("default",), *, third=("keyword",)):
    """Documented."""

    def inner():
        return first, second, third

    return inner


class Slotted(list):
    __slots__ = ("one", "two")


class Plain:
    def method(self):
        return self


def a_generator():
    yield 1


async def a_coroutine():
    pass


def raised():
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second", 2) from error
    except ValueError as error:
        return error


def functions():
    code = outer.__code__
    has(outer, function_object__func_code=code, function_object__func_globals=outer.__globals__,
        function_object__func_defaults=outer.__defaults__, function_object__func_kwdefaults=outer.__kwdefaults__,
        function_object__func_doc=outer.__doc__, function_object__func_name=outer.__name__,
        function_object__func_qualname=outer.__qualname__, function_object__func_module=outer.__module__,
        function_object__func_dict=outer.__dict__)
    inner = keep(outer(("first",)))
    has(inner, function_object__func_closure=inner.__closure__)
    has(inner.__closure__[0], cell_object__ob_ref=inner.__closure__[0].cell_contents)
    has(code, code_object__co_consts=code.co_consts, code_object__co_names=code.co_names,
        code_object__co_filename=code.co_filename, code_object__co_name=code.co_name)
    bound = keep(Plain()).method
    has(bound, method_object__im_func=bound.__func__, method_object__im_self=bound.__self__)
    builtin = keep([1, 2]).append
    has(builtin, cfunction_object__m_self=builtin.__self__)
    has(property(outer, inner, bound, "documented"), property_object__prop_get=outer,
        property_object__prop_set=inner, property_object__prop_del=bound)
    has(staticmethod(outer), staticmethod_object__sm_callable=outer)
    has(classmethod(outer), classmethod_object__cm_callable=outer)
    generator = keep(a_generator())
    next(generator)
    has(generator, gen_object__gi_name=generator.__name__, gen_object__gi_qualname=generator.__qualname__)
    coroutine = keep(a_coroutine())
    has(coroutine, gen_object__gi_name=coroutine.__name__)


def containers():
    items = [object(), object(), object()]
    counts(items, var_object__ob_size=3)
    has(tuple(items), tuple_object__ob_item=items[0])
    table = keep({"a": 1, "b": 2})
    counts(table, dict_object__ma_used=2)
    group = keep(set(range(50)))
    counts(group, set_object__used=50, set_object__fill=50)
    has(keep(collections.defaultdict(outer)), defdict_object__default_factory=outer)
    queue = keep(collections.deque(items, maxlen=77))
    counts(queue, deque_object__maxlen=77, var_object__ob_size=3)
    has(slice(items, outer, Plain), slice_object__start=items, slice_object__stop=outer, slice_object__step=Plain)
    numbers = keep([10**6, 10**6 + 1, 10**6 + 2])
    has(range(*numbers), range_object__start=numbers[0], range_object__stop=numbers[1], range_object__step=numbers[2])
    partial = keep(functools.partial(outer, 1, second=2))
    has(partial, partial_object__fn_=outer, partial_object__args=partial.args, partial_object__kw=partial.keywords)
    cached = keep(functools.lru_cache(maxsize=33)(outer))
    has(cached, lru_cache_object__func=outer)
    counts(cached, lru_cache_object__maxsize=33)
    text = keep("plain text")
    counts(text, ascii_object__length=len(text), ascii_object__hash=hash(text) & 2**64 - 1)
    numbers = keep(array.array("q", range(5)))
    counts(numbers, var_object__ob_size=5)
    counts(keep(bytearray(b"12345")), var_object__ob_size=5)
    buffer = keep(io.BytesIO())
    buffer.write(b"1234567")
    counts(buffer, bytes_io__string_size=7)
    view = keep(memoryview(keep(bytes(9))))
    counts(view, memoryview_object__exports=0)


def types_of_types():
    for cls in (list, dict, type, object, Slotted, Plain, collections.deque, collections.OrderedDict):
        keep(cls)
        counts(cls, type_object__tp_basicsize=cls.__basicsize__, type_object__tp_itemsize=cls.__itemsize__,
               type_object__tp_flags=cls.__flags__)
        has(cls, type_object__tp_mro=cls.__mro__)
        if cls is not object:
            has(cls, type_object__tp_base=cls.__base__)
    for cls in (Slotted, Plain):
        has(cls, heap_type_object__ht_name=cls.__name__, heap_type_object__ht_qualname=cls.__qualname__)
    has(Plain(), object__ob_type=Plain)


def others():
    error = keep(raised())
    has(error, base_exception__args=error.args, base_exception__traceback=error.__traceback__,
        base_exception__context=error.__context__, base_exception__cause=error.__cause__)
    has(error.__traceback__, traceback_object__tb_frame=error.__traceback__.tb_frame)
    stop = keep(StopIteration(outer))
    has(stop, stop_iteration__value=outer)
    exit = keep(SystemExit(outer))
    has(exit, system_exit__code=outer)
    held = keep(Plain())
    has(weakref.ref(held, outer), weakref_object__wr_object=held, weakref_object__wr_callback=outer)
    has(sys, module_object__md_dict=sys.__dict__)
    descriptor = keep(list.__dict__["append"])
    has(descriptor, descr_object__d_type=list, descr_object__d_name=descriptor.__name__)
    pair = keep(super(Slotted, Slotted()))
    has(pair, super_object__type=Slotted, super_object__obj=pair.__self__, super_object__obj_type=Slotted)


def sizes():
    def basic(module, name):
        try:
            return getattr(__import__(module, None, None, [name]), name).__basicsize__
        except (ImportError, AttributeError):
            return None
    found = {
        "heap_type_object": type.__basicsize__,
        "list_object": list.__basicsize__,
        "dict_object": dict.__basicsize__,
        "set_object": set.__basicsize__,
        "float_object": float.__basicsize__,
        "complex_object": complex.__basicsize__,
        "bytearray_object": bytearray.__basicsize__,
        "slice_object": slice.__basicsize__,
        "range_object": range.__basicsize__,
        "property_object": property.__basicsize__,
        "staticmethod_object": staticmethod.__basicsize__,
        "classmethod_object": classmethod.__basicsize__,
        "super_object": super.__basicsize__,
        "unicode_object": str.__basicsize__,
        "base_exception": BaseException.__basicsize__,
        "syntax_error": SyntaxError.__basicsize__,
        "import_error": ImportError.__basicsize__,
        "unicode_error": UnicodeDecodeError.__basicsize__,
        "system_exit": SystemExit.__basicsize__,
        "os_error": OSError.__basicsize__,
        "stop_iteration": StopIteration.__basicsize__,
        "function_object": types.FunctionType.__basicsize__,
        "method_object": types.MethodType.__basicsize__,
        "cfunction_object": types.BuiltinFunctionType.__basicsize__,
        "cell_object": types.CellType.__basicsize__,
        "module_object": types.ModuleType.__basicsize__,
        "traceback_object": types.TracebackType.__basicsize__,
        "weakref_object": weakref.ref.__basicsize__,
        "odict_object": collections.OrderedDict.__basicsize__,
        "deque_object": collections.deque.__basicsize__,
        "defdict_object": collections.defaultdict.__basicsize__,
        "partial_object": functools.partial.__basicsize__,
        "lru_cache_object": type(functools.lru_cache(lambda: 0)).__basicsize__,
        "bytes_io": io.BytesIO.__basicsize__,
        "string_io": io.StringIO.__basicsize__,
        "buffered": io.BufferedReader.__basicsize__,
        "text_io": io.TextIOWrapper.__basicsize__,
        "product_object": itertools.product.__basicsize__,
        "combinations_object": itertools.combinations.__basicsize__,
        "cwr_object": itertools.combinations_with_replacement.__basicsize__,
        "permutations_object": itertools.permutations.__basicsize__,
        "tee_data_object": basic("itertools", "_tee_dataobject"),
        "array_object": array.array.__basicsize__,
        "struct_object": basic("_struct", "Struct"),
        "dec_object": basic("_decimal", "Decimal"),
        "dec_context": basic("_decimal", "Context"),
        "pickler": basic("_pickle", "Pickler"),
        "unpickler": basic("_pickle", "Unpickler"),
        "element_object": basic("_elementtree", "Element"),
        "simple_queue": basic("_queue", "SimpleQueue"),
        "mmap_object": basic("mmap", "mmap"),
        "pattern_object": basic("re", "Pattern"),
        "match_object": basic("re", "Match"),
        "context_object": basic("_contextvars", "Context"),
        "contextvar_object": basic("_contextvars", "ContextVar"),
        "base_exception_group": basic("builtins", "BaseExceptionGroup"),
        "template_object": basic("string.templatelib", "Template"),
        "ctypes_data": ctypes.c_int.__mro__[-2].__basicsize__,
        "dict_view_object": type({}.keys()).__basicsize__,
        "dict_iter_object": type(iter({})).__basicsize__,
        "frozen_dict_object": basic("builtins", "frozendict"),
    }
    return {name: size for name, size in found.items() if size is not None}


def main():
    for part in (functions, containers, types_of_types, others):
        part()
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    print("ready", os.getpid(), flush=True)
    print(json.dumps({"runtime": runtime, "sizes": sizes(), "words": WORDS}), flush=True)
    sys.stdin.read()
    # Without a word about the coroutine that nobody waited for.
    os._exit(0)


main()

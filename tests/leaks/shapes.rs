//! What is to be said of each shape of `tests/targets/leaks/shapes.py`.

/// A shape.
pub struct Shape {
    /// The name of it there.
    pub name: &'static str,
    /// What leaks; `None`: nothing does.
    pub leak: Option<Leak>,
}

/// What leaks.
pub struct Leak {
    /// The types that it may be told by: some are called otherwise in other versions.
    pub types: &'static [&'static str],
    /// Who may be said to hold it.
    pub holders: &'static [&'static str],
    /// Why it is not freed.
    pub cause: &'static str,
    /// How many of them each step adds.
    pub per_step: f64,
    /// Whether it is one object that grows, so that there is no rate of objects.
    pub grows: bool,
    /// Whether it is items of one object that are added.
    pub items: bool,
}

const fn leak(name: &'static str, types: &'static [&'static str], holders: &'static [&'static str]) -> Shape {
    let leak = Leak { types, holders, cause: "held", per_step: 1.0, grows: false, items: false };
    Shape { name, leak: Some(leak) }
}

const fn lost(
    name: &'static str,
    of: &'static [&'static str],
    holders: &'static [&'static str],
    cause: &'static str,
) -> Shape {
    let leak = Leak { types: of, holders, cause, per_step: 1.0, grows: false, items: false };
    Shape { name, leak: Some(leak) }
}

const fn counted(
    name: &'static str,
    of: &'static [&'static str],
    holders: &'static [&'static str],
    per_step: f64,
) -> Shape {
    let leak = Leak { types: of, holders, cause: "held", per_step, grows: false, items: false };
    Shape { name, leak: Some(leak) }
}

const fn enlarged(
    name: &'static str,
    of: &'static [&'static str],
    holders: &'static [&'static str],
) -> Shape {
    let leak = Leak { types: of, holders, cause: "held", per_step: 0.0, grows: true, items: false };
    Shape { name, leak: Some(leak) }
}

const fn items(
    name: &'static str,
    of: &'static [&'static str],
    holders: &'static [&'static str],
    per_step: f64,
) -> Shape {
    let leak = Leak { types: of, holders, cause: "held", per_step, grows: false, items: true };
    Shape { name, leak: Some(leak) }
}

const fn steady(name: &'static str) -> Shape {
    Shape { name, leak: None }
}

const PAYLOAD: &[&str] = &["__main__.Payload"];
const NODE: &[&str] = &["__main__.Node"];

/// The modules that some need, which a Python without its extension modules does not have.
pub const NEEDS: &[(&str, &str)] = &[
    ("queued_in_c", "_queue"),
    ("growing_array", "array"),
    ("frame_made_anew", "array"),
    ("context", "contextvars"),
    ("lost_by_c", "ctypes"),
    ("hidden_cycle", "ctypes"),
    ("hidden_cycle", "_random"),
    ("hidden_in_c", "ctypes"),
    ("hidden_in_c", "_random"),
    ("hidden_in_c", "array"),
    ("tasks", "asyncio"),
    ("finished_tasks", "asyncio"),
    ("context_of_task", "asyncio"),
    ("context_in_use", "asyncio"),
    ("kept_by_awaiter", "asyncio"),
    ("timers", "asyncio"),
    ("swept_by_task", "asyncio"),
    ("swept_in_vain_by_task", "asyncio"),
    ("native_each", "zlib"),
    ("native_garbage", "zlib"),
];

/// Those that are looked at with every interpreter.
pub const FEW: &[&str] = &[
    "class_attribute",
    "queued",
    "churn",
    "cached_without_limit",
    "generators",
    "circles_without_collector",
    "saw_tooth",
    "exit_callbacks",
];

/// All of them.
pub const ALL: &[Shape] = &[
    leak("observers", &["__main__.Observer"], &["__main__.subject.observers"]),
    leak("exit_callbacks", &["__main__.Observer"], &["atexit callbacks"]),
    leak("fork_callbacks", &["__main__.Hook"], &["register_at_fork callbacks"]),
    counted("audit_hooks", &["__main__.Hook"], &["audit hooks"], 0.05),
    leak("codec_errors", &["__main__.Hook"], &["codec error handlers"]),
    leak("wrapped_twice", PAYLOAD, &["__main__.due", "__main__.by_name"]),
    leak("errors_in_dicts", &["__main__.Failure"], &["__main__.crumbs"]),
    counted("native_each", &["__main__.Packer"], &["__main__.packers"], 0.05),
    leak("closures", &["function"], &["__main__.handlers"]),
    leak("tracebacks", &["ValueError"], &["__main__.errors"]),
    leak("finalizers", &["weakref.finalize._Info", "weakref.finalize"], &["weakref.finalize._registry"]),
    leak(
        "finalizers_in_use",
        &["weakref.finalize._Info", "weakref.finalize"],
        &["weakref.finalize._registry"],
    ),
    leak("context", &["_contextvars.Context", "Context"], &["__main__.contexts"]),
    leak("queued", PAYLOAD, &["__main__.jobs.queue"]),
    leak("queued_in_c", PAYLOAD, &["__main__.tickets"]),
    leak("attributes_as_dict", &["__main__.Record"], &["__main__.records"]),
    leak("wrapped_again", &["function"], &["__main__.handler"]),
    leak("odd_cache", PAYLOAD, &["__main__.least_recent.items"]),
    leak("copied_on_write", PAYLOAD, &["__main__.core.handlers"]),
    leak("tables_made_anew", PAYLOAD, &["__main__.tables.by_name"]),
    enlarged("frame_made_anew", &["array.array"], &["__main__.tables.frame"]),
    leak("listed_weakly", &["function"], &["__main__.listeners.called"]),
    leak("answered", PAYLOAD, &["__main__.answers"]),
    leak("pairs_of_payloads", PAYLOAD, &["__main__.pairs"]),
    leak("two_tables", PAYLOAD, &["__main__.register.by_number"]),
    leak("partials", PAYLOAD, &["__main__.callbacks"]),
    leak("logging_handlers", &["logging.NullHandler"], &["__main__.log.handlers"]),
    leak("loggers", &["logging.Logger"], &["logging.Logger.manager.loggerDict"]),
    enlarged("growing_text", &["str"], &["__main__.text"]),
    enlarged("growing_buffer", &["bytearray"], &["__main__.buffer"]),
    enlarged("growing_array", &["array.array"], &["__main__.numbers"]),
    leak("made_types", &["type"], &["__main__.classes"]),
    counted("threads", &["threading.Thread"], &["threading._active"], 0.25),
    counted("thread_locals", &["threading.Thread"], &["threading._active"], 0.25),
    leak("linked_in_front", NODE, &["__main__.chain"]),
    leak("linked_at_end", NODE, &["__main__.root"]),
    leak("tree", NODE, &["__main__.root"]),
    leak("numbers_seen", &["int"], &["__main__.seen"]),
    leak("floats_kept", &["float"], &["__main__.floats"]),
    leak("attributes", PAYLOAD, &["__main__.settings"]),
    leak("timers", &["asyncio.events.TimerHandle"], &["__main__.loop._scheduled"]),
    leak("modules", &["module"], &["sys.modules"]),
    enlarged("late_import", PAYLOAD, &["colorsys.kept"]),
    leak("nested", PAYLOAD, &["__main__.buckets"]),
    leak("in_item", PAYLOAD, &["__main__.Store.by_id"]),
    leak("deque_without_limit", PAYLOAD, &["__main__.waiting"]),
    leak("default_argument", PAYLOAD, &["__main__.default_argument default kept"]),
    leak("closure_variable", PAYLOAD, &["__main__.closure_variable closure kept"]),
    lost("lost_by_c", PAYLOAD, &["(no known referrer)"], "unreferred"),
    lost("hidden_cycle", NODE, &["(cycle through _random.Random)"], "unreferred"),
    leak("hidden_in_c", PAYLOAD, &["__main__.keeper"]),
    lost("uncollectable", NODE, &["gc.garbage"], "uncollectable"),
    lost("circles_without_collector", NODE, &["(garbage)"], "garbage"),
    items("nothings_kept", &["list"], &["__main__.nothings"], 64.0),
    leak("cached_without_limit", &["dict"], &["cache of __main__.cached_without_limit"]),
    leak("class_attribute", PAYLOAD, &["__main__.Subject.made"]),
    counted("leak_beside_churn", PAYLOAD, &["__main__.sessions"], 0.5),
    leak("generators", &["generator"], &["__main__.held_by_name"]),
    leak("kept_by_caller", PAYLOAD, &["__main__.kept_by_caller() local kept"]),
    counted("kept_by_awaiter", PAYLOAD, &["__main__.Session.messages"], 2.0),
    leak("kept_by_server", PAYLOAD, &["server.serve() local kept"]),
    leak("local_variable", PAYLOAD, &["__main__.local_variable() local accumulated"]),
    leak("thread_local", PAYLOAD, &["thread pool-worker: __main__.local.kept"]),
    leak("thread_local_of_pool", PAYLOAD, &["threads: __main__.local.kept"]),
    leak("tasks", &["_asyncio.Task"], &["__main__.pending"]),
    leak("tasks_of_other_loop", &["__main__.JobTask"], &["__main__.crew"]),
    leak("context_of_task", PAYLOAD, &["context variable requests"]),
    leak("context_in_use", PAYLOAD, &["context variable requests"]),
    leak("finished_tasks", &["_asyncio.Task"], &["__main__.pending"]),
    counted("class_for_each", &["__main__.Made"], &["__main__.instances"], 0.25),
    leak("swept_in_vain", PAYLOAD, &["__main__.kept_until_swept"]),
    leak("swept_in_vain_by_task", PAYLOAD, &["__main__.kept_until_swept"]),
    steady("cached_far_from_limit"),
    steady("cached_at_limit"),
    steady("saw_tooth"),
    steady("emptied_in_step"),
    steady("marks_in_step"),
    steady("rebuilt"),
    steady("drained"),
    steady("full_ring"),
    steady("expiring"),
    steady("churn"),
    steady("circles"),
    steady("settling"),
    steady("temporary"),
    steady("resized"),
    steady("written_late"),
    steady("first_written_late"),
    steady("below_limit_of_owner"),
    steady("native_garbage"),
    steady("same_in_ring"),
    steady("slowing_down"),
    steady("imports"),
    steady("names_looked_up"),
    steady("swept_by_thread"),
    steady("swept_by_task"),
];

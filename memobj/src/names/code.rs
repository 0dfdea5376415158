//! The names of functions and of what they hold: default arguments, closure variables, local variables of frames that run or wait.
//!
//! Facts: `Include/cpython/code.h`, `Include/internal/pycore_frame.h`, `Include/cpython/frameobject.h` (until 3.10).

use std::sync::Arc;

use common::record::CodeLine;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::runtime::frame::CodeLocation;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::{NameReader, Reference, known_fields};

/// More variables than any function has.
const MAX_VARIABLES: u64 = 1 << 16;

impl<M: Memory> NameReader<'_, '_, M> {
    pub(super) fn visit_function(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        let known = &self.python.layout.function_object;
        let attribute = |name: &str| Reference::Attribute(name.into());
        let members = [
            (Some(known.func_defaults), Reference::Defaults),
            (Some(known.func_kwdefaults), Reference::KeywordDefaults),
            (Some(known.func_closure), Reference::Closure),
            (Some(known.func_dict), Reference::Internal),
            (Some(known.func_code), attribute("__code__")),
            (Some(known.func_globals), attribute("__globals__")),
            (known.func_builtins, attribute("__builtins__")),
            (Some(known.func_annotations), attribute("__annotations__")),
            (Some(known.func_doc), attribute("__doc__")),
        ];
        self.visit_fields(at, known_fields(members), each);
    }

    /// The local variables of an object that is a frame, and what else it has.
    pub(super) fn visit_frame_object(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let known = &layout.frame_object;
        match (known.f_frame, known.f_localsplus) {
            (Some(inner), _) => {
                if let Ok(inner) = memory.read_pointer(at, inner) {
                    self.visit_locals(inner, each);
                }
            }
            (None, Some(locals)) => {
                if let Some(code) = self.code_of_frame(at) {
                    let names = self.variables(code);
                    self.visit_variables(at.plus(u64::from(locals)), &names, each);
                }
                if let Some(owner) = known.f_gen.and_then(|owner| self.objects.read_pointer(at, owner))
                    && !owner.is_null()
                {
                    self.visit_awaited(owner, at, each);
                }
            }
            (None, None) => {}
        }
        let members = [
            (Some(known.f_back), Reference::Attribute("f_back".into())),
            (known.f_locals, Reference::Internal),
        ];
        self.visit_fields(at, known_fields(members), each);
    }

    pub(super) fn visit_generator(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        if let Some(inner) = self.inner_frame(at) {
            self.visit_locals(inner, each);
            return;
        }
        let known = &self.python.layout.gen_object;
        if let Some(frame) = known.gi_frame.and_then(|frame| self.objects.read_pointer(at, frame))
            && !frame.is_null()
        {
            each(frame, Reference::Internal);
        }
    }

    /// The two topmost slots of the stack of a suspended frame; null for a number.
    pub(super) fn tops_of_stack(&self, frame: Addr) -> [Option<Addr>; 2] {
        let Some((first, top)) = self.stack(frame) else { return [None, None] };
        [8, 16]
            .map(|back| {
                let at = top.minus(back);
                (at >= first && at < top).then(|| self.python.memory.read_word(at, 0).ok()).flatten()
            })
            .map(|slot| slot.map(|slot| self.python.layout.encodings.stack_refs.object(slot)))
    }

    /// The start of the slots of a suspended frame that may be its stack, and the end of the stack.
    fn stack(&self, frame: Addr) -> Option<(Addr, Addr)> {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let count = |offset: u32| u64::try_from(memory.read_int(frame, offset).ok()?).ok()?.checked_mul(8);
        let Some(known) = &layout.interpreter_frame else {
            let known = &layout.frame_object;
            let first = self.objects.read_pointer(frame, known.f_valuestack?)?;
            let top = match (known.f_stacktop, known.f_stackdepth) {
                (Some(top), _) => self.objects.read_pointer(frame, top)?,
                (None, Some(depth)) => first.plus(count(depth)?),
                (None, None) => return None,
            };
            return Some((first, top));
        };
        let first = frame.plus(u64::from(known.localsplus));
        let top = match (known.stackpointer, known.stacktop) {
            (Some(top), _) => self.objects.read_pointer(frame, top)?,
            (None, Some(depth)) => first.plus(count(depth)?),
            (None, None) => return None,
        };
        Some((first, top))
    }

    /// The frame in a generator or coroutine that has not ended (3.11 and newer).
    pub(super) fn inner_frame(&self, at: Addr) -> Option<Addr> {
        let layout = self.python.layout;
        let known = &layout.gen_object;
        let state = self.python.memory.read_byte(at, known.gi_frame_state?).ok()?;
        let cleared = layout.frame_state.as_ref()?.frame_cleared?;
        (i32::from(state.cast_signed()) < cleared).then(|| at.plus(u64::from(known.gi_iframe.unwrap_or(0))))
    }

    /// Calls `each` with the local variables of a frame that is running: an interpreter's frame, or a frame object until 3.10.
    pub fn visit_frame(&mut self, at: Addr, mut each: impl FnMut(Addr, Reference)) {
        if self.python.layout.interpreter_frame.is_some() {
            self.visit_locals(at, &mut each);
        } else {
            each(at, Reference::Internal);
            self.visit_frame_object(at, &mut each);
        }
    }

    /// The local variables of an interpreter's frame.
    pub(super) fn visit_locals(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        let layout = self.python.layout;
        let Some(known) = &layout.interpreter_frame else { return };
        let Some(code) = self.code_of_frame(at) else { return };
        let names = self.variables(code);
        self.visit_variables(at.plus(u64::from(known.localsplus)), &names, each);
        if let Some(locals) = self.objects.read_pointer(at, known.f_locals).filter(|locals| !locals.is_null())
        {
            each(locals, Reference::Internal);
        }
    }

    fn visit_variables(
        &self,
        first: Addr,
        names: &[Option<Arc<str>>],
        each: &mut impl FnMut(Addr, Reference),
    ) {
        let mut names = names.iter();
        let count = names.len() as u64;
        let _ = self.python.memory.read_words(first, count, |slot| {
            if let Some(Some(name)) = names.next()
                && let to = self.python.layout.encodings.stack_refs.object(slot)
                && !to.is_null()
            {
                each(to, Reference::Local(Arc::clone(name)));
            }
        });
    }

    /// The code of a frame: an interpreter's one, or an object until 3.10.
    pub(super) fn code_of_frame(&mut self, at: Addr) -> Option<Addr> {
        let layout = self.python.layout;
        let code = match &layout.interpreter_frame {
            Some(known) => self
                .python
                .layout
                .encodings
                .stack_refs
                .object(self.python.memory.read_word(at, known.executable).ok()?),
            None => self.objects.read_pointer(at, layout.frame_object.f_code?)?,
        };
        (self.type_of(code)?.kind == Some(Builtin::Code)).then_some(code)
    }

    /// The names of the variables of some code, in the order of a frame's slots.
    fn variables(&mut self, code: Addr) -> Vec<Option<Arc<str>>> {
        let known = &self.python.layout.code_object;
        let tuples = match known.co_localsplusnames {
            Some(names) => [Some(names), None, None],
            None => [known.co_varnames, known.co_cellvars, known.co_freevars],
        };
        tuples.into_iter().flatten().flat_map(|offset| self.names_of(code, offset)).collect()
    }

    /// The names in a code object: of its variables, and of the attributes and globals that it uses.
    pub fn names_in_code(&mut self, code: Addr) -> NamesInCode {
        let others = self.names_of(code, self.python.layout.code_object.co_names);
        let variables = self.variables(code);
        NamesInCode {
            variables: variables.into_iter().flatten().collect(),
            others: others.into_iter().flatten().collect(),
        }
    }

    /// The strings of a tuple that is a member of some code.
    fn names_of(&mut self, code: Addr, offset: u32) -> Vec<Option<Arc<str>>> {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let Some(tuple) = self.objects.read_pointer(code, offset) else { return Vec::new() };
        let Some(count) = self.objects.read_length(tuple) else { return Vec::new() };
        let mut names = Vec::new();
        let items = tuple.plus(u64::from(layout.tuple_object.ob_item));
        let _ = memory.read_words(items, count.min(MAX_VARIABLES), |item| names.push(self.text(Addr(item))));
        names
    }

    /// The name of the closure variable of a number in the tuple of a function.
    pub fn closure_variable(&mut self, function: Addr, index: u64) -> Option<Arc<str>> {
        let layout = self.python.layout;
        let code = self.objects.read_pointer(function, layout.function_object.func_code)?;
        let known = &layout.code_object;
        let mut names = match (known.co_localsplusnames, known.co_freevars) {
            (Some(all), _) => {
                // The free ones are the last.
                let names = self.names_of(code, all);
                let free = self.python.memory.read_int(code, known.co_nfreevars?).ok()?;
                let first = names.len().checked_sub(usize::try_from(free).ok()?)?;
                names.into_iter().skip(first).collect()
            }
            (None, Some(free)) => self.names_of(code, free),
            (None, None) => return None,
        };
        let index = usize::try_from(index).ok()?;
        (index < names.len()).then(|| names.swap_remove(index))?
    }

    /// The name of the argument whose default has this number in a function's tuple.
    pub fn default_argument(&mut self, function: Addr, index: u64) -> Option<Arc<str>> {
        let layout = self.python.layout;
        let code = self.objects.read_pointer(function, layout.function_object.func_code)?;
        let arguments =
            u64::try_from(self.python.memory.read_int(code, layout.code_object.co_argcount).ok()?).ok()?;
        let defaults = self.objects.read_pointer(function, layout.function_object.func_defaults)?;
        let defaults = self.objects.read_length(defaults)?;
        // The last arguments are those with defaults.
        let index = usize::try_from(arguments.checked_sub(defaults)?.checked_add(index)?).ok()?;
        let mut names = self.variables(code);
        (index < names.len()).then(|| names.swap_remove(index))?
    }

    /// The name of a function with its module: `botpkg.cache.Cache.get`.
    pub fn function(&mut self, at: Addr) -> Option<String> {
        let known = &self.python.layout.function_object;
        let qualname = self.text(self.objects.read_pointer(at, known.func_qualname)?)?;
        let module = self.objects.read_pointer(at, known.func_module).and_then(|module| self.text(module));
        Some(qualified_name(module.as_deref(), &qualname))
    }

    /// The name of the function that a frame runs, with its module; of code that is run as a module, `<module>`.
    pub fn function_of_frame(&mut self, at: Addr) -> Option<(Option<Arc<str>>, Arc<str>)> {
        let layout = self.python.layout;
        let code = self.code_of_frame(at)?;
        let known = &layout.code_object;
        let name = self.objects.read_pointer(code, known.co_qualname.unwrap_or(known.co_name))?;
        let name = self.text(name)?;
        Some((self.module_of_frame(at), name))
    }

    /// The name of the function that a frame object is of, with its module.
    pub fn function_of_frame_object(&mut self, at: Addr) -> Option<String> {
        let frame = match self.python.layout.frame_object.f_frame {
            Some(inner) => self.objects.read_pointer(at, inner)?,
            None => at,
        };
        let (module, name) = self.function_of_frame(frame)?;
        Some(qualified_name(module.as_deref(), &name))
    }

    pub(super) fn module_of_frame(&mut self, at: Addr) -> Option<Arc<str>> {
        let layout = self.python.layout;
        let globals = match &layout.interpreter_frame {
            Some(known) => self.objects.read_pointer(at, known.f_globals)?,
            None => self.objects.read_pointer(at, layout.frame_object.f_globals?)?,
        };
        let name = self.objects.read_item(globals, "__name__")?;
        self.text(name)
    }
}

/// A place in the source as a record has it.
pub fn code_line(location: CodeLocation) -> CodeLine {
    CodeLine { function: location.function.into(), file: location.file.into(), line: location.line }
}

/// The names in a code object.
pub struct NamesInCode {
    /// Its variables, those of its closure among them.
    pub variables: Vec<Arc<str>>,
    /// Attributes and globals.
    pub others: Vec<Arc<str>>,
}

impl NamesInCode {
    /// Whether it has this name.
    pub fn has(&self, wanted: &str) -> bool {
        self.variables.iter().chain(&self.others).any(|name| &**name == wanted)
    }
}

/// `module.name`, or the name alone.
pub fn qualified_name(module: Option<&str>, name: &str) -> String {
    module.map_or_else(|| name.to_owned(), |module| format!("{module}.{name}"))
}

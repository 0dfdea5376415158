//! Suspended greenlets: the function that one runs, the line where it waits, and the variables of its frames.

use std::sync::Arc;

use memobj_cpython::heap::greenlets::{Greenlet, read_greenlet};
use memobj_cpython::runtime::frame::read_frame_instruction;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::modules::{Origin, origin_of_file, read_library};
use super::suspended::{Progress, Suspended};
use super::{NameReader, Reference, qualified_name};

/// Code whose origin is kept: more than any program suspends.
const MAX_ORIGINS: usize = 1 << 16;

/// The frames of a suspended greenlet.
pub(super) struct GreenletFrames {
    /// All of them, the innermost first; at least one.
    all: Vec<Addr>,
    /// The number of the outermost frame of the program itself, which the greenlet is named by; the outermost without one.
    named: usize,
    /// The number of the innermost frame of the program: the line that waits is there.
    waiting: usize,
}

impl GreenletFrames {
    /// The frame of the function that the greenlet is named by.
    pub fn named(&self) -> Addr {
        self.all.get(self.named).copied().unwrap_or_default()
    }

    fn waiting(&self) -> Addr {
        self.all.get(self.waiting).copied().unwrap_or_default()
    }
}

impl<M: Memory> NameReader<'_, '_, M> {
    /// Describes a greenlet; `None` unless it is suspended in a function.
    pub(super) fn suspended_greenlet(&mut self, at: Addr) -> Option<Suspended> {
        let frames = self.greenlet_frames(at)?;
        let (module, name) = self.function_of_frame(frames.named())?;
        let line = self.source_line(frames.waiting());
        Some(Suspended { kind: "greenlet", module, name, progress: Progress::Waiting, line })
    }

    /// The frames of a greenlet; `None` unless it is suspended in a function.
    pub(super) fn greenlet_frames(&mut self, at: Addr) -> Option<GreenletFrames> {
        let Greenlet::Suspended(suspended) = read_greenlet(self.objects, at) else { return None };
        let all = suspended.frames;
        let last = all.len().checked_sub(1)?;
        let mut own = Vec::new();
        for (number, &frame) in all.iter().enumerate() {
            if self.origin_of_frame(frame) == Origin::Program {
                own.push(number);
            }
        }
        // The code of a module calls the function that says more.
        let in_function = own.iter().rev().copied().find(|&number| {
            let frame = all.get(number).and_then(|&frame| self.function_of_frame(frame));
            frame.is_some_and(|(_, name)| &*name != "<module>")
        });
        let named = in_function.or(own.last().copied()).unwrap_or(last);
        let waiting = own.first().copied().unwrap_or(last);
        Some(GreenletFrames { all, named, waiting })
    }

    /// Calls `each` with the variables of a suspended greenlet. Those of the function that it is named by come first; the others have the
    /// function in their name.
    pub(super) fn visit_greenlet(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        let Some(frames) = self.greenlet_frames(at) else { return };
        self.visit_variables_of(frames.named(), None, each);
        for &frame in frames.all.iter().filter(|&&frame| frame != frames.named()) {
            let function = self.function_of_frame(frame);
            let function = function.map(|(module, name)| qualified_name(module.as_deref(), &name));
            self.visit_variables_of(frame, function.as_deref(), each);
        }
    }

    fn visit_variables_of(
        &mut self,
        frame: Addr,
        function: Option<&str>,
        each: &mut impl FnMut(Addr, Reference),
    ) {
        if self.python.layout.interpreter_frame.is_none() {
            // Until 3.10 the frame is an object that has the variables.
            each(frame, function.map_or(Reference::Internal, |_| Reference::Attribute("f_back".into())));
            return;
        }
        self.visit_frame(frame, |to, reference| match (reference, function) {
            (Reference::Local(name), Some(function)) => {
                each(to, Reference::Local(format!("{name} of {function}()").into()));
            }
            (Reference::Local(name), None) => each(to, Reference::Local(name)),
            // A dict of variables has no name of its own.
            _ => {}
        });
    }

    /// The place that the code of a frame was loaded from.
    fn origin_of_frame(&mut self, frame: Addr) -> Origin {
        let Some((code, _)) = read_frame_instruction(self.objects, frame) else { return Origin::Standard };
        if let Some(&known) = self.origins.get(&code) {
            return known;
        }
        let library = self.library();
        let file = self.objects.read_pointer(code, self.python.layout.code_object.co_filename);
        let origin = match file.and_then(|file| self.text(file)) {
            // Code in the executable: of the import system.
            Some(file) if file.starts_with("<frozen ") => Origin::Standard,
            Some(file) => origin_of_file(&file, Some(&*library).filter(|library| !library.is_empty())),
            None => Origin::Standard,
        };
        if self.origins.len() < MAX_ORIGINS {
            self.origins.insert(code, origin);
        }
        origin
    }

    /// The folder of the standard library; empty if it is unknown.
    fn library(&mut self) -> Arc<str> {
        let (objects, python) = (self.objects, self.python);
        let read = || {
            let interpreter = python.interpreters.first().copied()?;
            let modules = objects.read_pointer(interpreter, python.layout.interpreter_state.modules)?;
            read_library(objects, modules)
        };
        Arc::clone(self.library.get_or_insert_with(|| read().unwrap_or_default().into()))
    }
}
